// SPDX-License-Identifier: BSD-2-Clause
// Whether an address is this host's own: that of loopback or of one of its interfaces.
#pragma once

#include <set>

#include "dataplane/address.h"

namespace moat {

class OwnAddresses {
 public:
  // Those of this network namespace, now. Where they cannot be read, loopback alone.
  [[nodiscard]] static OwnAddresses read();

  [[nodiscard]] bool contains(Address address) const;
  [[nodiscard]] bool contains(const Address6& address) const;

 private:
  std::set<Address> ipv4_;
  std::set<Address6> ipv6_;
};

}  // namespace moat
