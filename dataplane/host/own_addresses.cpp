// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/host/own_addresses.h"

#include <ifaddrs.h>
#include <netinet/in.h>

#include <bit>
#include <string_view>

namespace moat {
namespace {

// Nothing where they cannot be read.
template <typename Visit>
void for_each_address(Visit visit) {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next)
    if (entry->ifa_addr != nullptr) visit(*entry);
  freeifaddrs(list);
}

Address ipv4_of(const sockaddr* address) {
  return Address::from_network(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr);
}

}  // namespace

OwnAddresses OwnAddresses::read() {
  OwnAddresses own;
  for_each_address([&own](const ifaddrs& entry) {
    if (entry.ifa_addr->sa_family == AF_INET) {
      own.ipv4_.insert(ipv4_of(entry.ifa_addr));
    } else if (entry.ifa_addr->sa_family == AF_INET6) {
      const auto& address = reinterpret_cast<sockaddr_in6*>(entry.ifa_addr)->sin6_addr;
      own.ipv6_.insert(std::bit_cast<Address6>(address));
    }
  });
  return own;
}

std::vector<InterfaceAddress> interface_addresses() {
  std::vector<InterfaceAddress> addresses;
  for_each_address([&addresses](const ifaddrs& entry) {
    if (entry.ifa_addr->sa_family != AF_INET || entry.ifa_netmask == nullptr) return;
    const auto address = ipv4_of(entry.ifa_addr);
    if (is_loopback(address)) return;
    // "eth0:1" is the label of an address on eth0.
    const std::string_view label(entry.ifa_name);
    const auto length = std::countl_one(ipv4_of(entry.ifa_netmask).value);
    addresses.push_back({std::string(label.substr(0, label.find(':'))), address,
                         static_cast<std::uint8_t>(length)});
  });
  return addresses;
}

bool OwnAddresses::contains(Address address) const {
  return is_loopback(address) || ipv4_.contains(address);
}

bool OwnAddresses::contains(const Address6& address) const {
  return is_loopback(address) || ipv6_.contains(address);
}

}  // namespace moat
