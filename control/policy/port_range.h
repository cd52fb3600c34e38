// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>

namespace moat {

struct PortRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0;  // included

  [[nodiscard]] bool contains(std::uint16_t port) const { return first <= port && port <= last; }
  friend bool operator==(const PortRange&, const PortRange&) = default;
};

}  // namespace moat
