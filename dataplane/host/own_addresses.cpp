// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/host/own_addresses.h"

#include <ifaddrs.h>
#include <netinet/in.h>

#include <bit>

namespace moat {

OwnAddresses OwnAddresses::read() {
  OwnAddresses own;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return own;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    if (entry->ifa_addr->sa_family == AF_INET) {
      const auto& address = reinterpret_cast<sockaddr_in*>(entry->ifa_addr)->sin_addr;
      own.ipv4_.insert(Address::from_network(address.s_addr));
    } else if (entry->ifa_addr->sa_family == AF_INET6) {
      const auto& address = reinterpret_cast<sockaddr_in6*>(entry->ifa_addr)->sin6_addr;
      own.ipv6_.insert(std::bit_cast<Address6>(address));
    }
  }
  freeifaddrs(list);
  return own;
}

bool OwnAddresses::contains(Address address) const {
  return is_loopback(address) || ipv4_.contains(address);
}

bool OwnAddresses::contains(const Address6& address) const {
  return is_loopback(address) || ipv6_.contains(address);
}

}  // namespace moat
