// SPDX-License-Identifier: BSD-2-Clause
// What a frame must meet, worked out the slow and obvious way: frame and policy in, reason out. It
// shares nothing with bpf/verdict.h but the list of reasons, reads the frame as a receiver would
// and asks the policy itself instead of a table, so that the two can be held against each other.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "bpf/abi.h"
#include "control/enforce/compile.h"
#include "control/policy/policy.h"

namespace moat::testing {

struct Expected {
  moat_reason reason = MOAT_NOT_IP;
  const Database* database = nullptr;  // that the packet is for; null: none known, the host's
  std::string rule;                    // for `allowed`: the id of the rule that counts
  std::optional<Mode> mode = {};       // of several databases that guard a port on IPv6 together
};

[[nodiscard]] Expected expect(const Policy& policy, std::span<const std::uint8_t> frame,
                              WallTime now);

[[nodiscard]] bool is_drop(moat_reason reason);

// Whether the packet is one to drop, but monitor mode lets it pass.
[[nodiscard]] bool is_monitored(const Policy& policy, const Expected& expected);

// The one counter slot that the packet moves.
[[nodiscard]] std::uint32_t slot_of(const Policy& policy, const SlotMap& slots,
                                    const Expected& expected);

}  // namespace moat::testing
