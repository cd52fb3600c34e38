// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/host/own_addresses.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include <cstring>

namespace moat {

OwnAddresses OwnAddresses::read() {
  OwnAddresses own;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return own;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    if (entry->ifa_addr->sa_family == AF_INET) {
      own.ipv4_.insert(ntohl(reinterpret_cast<sockaddr_in*>(entry->ifa_addr)->sin_addr.s_addr));
    } else if (entry->ifa_addr->sa_family == AF_INET6) {
      Address6 address;
      std::memcpy(address.data(), &reinterpret_cast<sockaddr_in6*>(entry->ifa_addr)->sin6_addr,
                  address.size());
      own.ipv6_.insert(address);
    }
  }
  freeifaddrs(list);
  return own;
}

bool OwnAddresses::contains(std::uint32_t address) const {
  return address >> 24 == 127 || ipv4_.contains(address);
}

bool OwnAddresses::contains(const Address6& address) const {
  return address == Address6(std::to_array(in6addr_loopback.s6_addr)) || ipv6_.contains(address);
}

}  // namespace moat
