// SPDX-License-Identifier: BSD-2-Clause
// Counters as the kernel keeps them: each CPU has its own, and their sum is what was counted.
#pragma once

#include <cstdint>
#include <vector>

#include "bpf/abi.h"
#include "dataplane/error.h"

namespace moat {

// Sums over all CPUs by slot, MOAT_COUNTER_SLOTS of them.
[[nodiscard]] Result<std::vector<moat_counter>> read_counters(int map);

[[nodiscard]] Result<> clear_counters(int map, const std::vector<std::uint32_t>& slots);

}  // namespace moat
