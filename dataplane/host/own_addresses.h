// SPDX-License-Identifier: BSD-2-Clause
// This host's own addresses: of loopback and of its interfaces.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "dataplane/address.h"

namespace moat {

class OwnAddresses {
 public:
  // Those of this network namespace, now. Where they cannot be read, loopback alone.
  [[nodiscard]] static OwnAddresses read();

  // What the interfaces have, ascending; addresses of loopback among them.
  [[nodiscard]] const std::set<Address>& ipv4() const { return ipv4_; }
  [[nodiscard]] const std::set<Address6>& ipv6() const { return ipv6_; }

  [[nodiscard]] bool contains(Address address) const;
  [[nodiscard]] bool contains(const Address6& address) const;

 private:
  std::set<Address> ipv4_;
  std::set<Address6> ipv6_;
};

// An IPv4 address of an interface, and the length of its network's prefix.
struct InterfaceAddress {
  std::string interface;
  Address address;
  std::uint8_t length = 32;
};

// Those of this network namespace, now, loopback addresses left out; in the kernel's order.
[[nodiscard]] std::vector<InterfaceAddress> interface_addresses();

}  // namespace moat
