// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/address.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace moat {

bool is_loopback(const Address6& address) {
  return address == std::bit_cast<Address6>(in6addr_loopback);
}

std::optional<Address> mapped_ipv4(const Address6& address) {
  constexpr std::array<std::uint8_t, 12> prefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (!std::equal(prefix.begin(), prefix.end(), address.begin())) return std::nullopt;
  __be32 wire = 0;
  std::memcpy(&wire, &address[prefix.size()], sizeof wire);
  return Address::from_network(wire);
}

std::string format_address(Address address) {
  const auto value = address.value;
  return fmt::format("{}.{}.{}.{}", value >> 24, value >> 16 & 255, value >> 8 & 255, value & 255);
}

std::string format_address(const Address6& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(AF_INET6, address.data(), text.data(), text.size());
  return text.data();
}

std::optional<Address6> parse_address6(const std::string& text) {
  Address6 address{};
  if (inet_pton(AF_INET6, text.c_str(), address.data()) != 1) return std::nullopt;
  return address;
}

}  // namespace moat
