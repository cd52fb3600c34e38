// SPDX-License-Identifier: BSD-2-Clause
// Whether an address is this host's own: that of loopback or of one of its interfaces.
#pragma once

#include <array>
#include <cstdint>
#include <set>

namespace moat {

using Address6 = std::array<std::uint8_t, 16>;  // network order

class OwnAddresses {
 public:
  // Those of this network namespace, now. Where they cannot be read, loopback alone.
  [[nodiscard]] static OwnAddresses read();

  [[nodiscard]] bool contains(std::uint32_t address) const;  // host byte order
  [[nodiscard]] bool contains(const Address6& address) const;

 private:
  std::set<std::uint32_t> ipv4_;
  std::set<Address6> ipv6_;
};

}  // namespace moat
