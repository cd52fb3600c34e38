// SPDX-License-Identifier: BSD-2-Clause
// From a policy to a table: all databases' prefixes in one sweep over the address space.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "control/os/clock.h"
#include "control/policy/policy.h"
#include "dataplane/error.h"
#include "dataplane/table/table.h"

namespace moat {

// Where counts go; control/state/counter_slots hands the numbers out.
struct SlotMap {
  // 1..64 for a database id.
  std::function<std::uint8_t(std::string_view database)> owner;
  // 1..MOAT_RULE_SLOTS-1 for a rule of a database.
  std::function<std::uint16_t(std::string_view database, std::string_view rule)> rule;
};

// Compiles the policy; `clock` says how expiries in wall time become deadlines on the monotonic
// clock, and rules that have expired by it are left out. Databases get numbers 1.. in the policy's
// order. O(n log n) in prefixes. Errors: the limits of build_table, which a policy within
// control/text/input_limits.h can exceed only by combining managed ranges into more than
// MOAT_MAX_CLASSES different sets.
[[nodiscard]] Result<Table> compile(const Policy& policy, const SlotMap& slots,
                                    const ClockPair& clock, std::uint64_t generation);

}  // namespace moat
