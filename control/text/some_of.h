// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace moat {

// "eth1, eth2 and 3 more": as many as a person reads, the others counted.
[[nodiscard]] std::string some_of(const std::vector<std::string>& names, std::size_t most,
                                  std::string_view between = ", ");

}  // namespace moat
