// SPDX-License-Identifier: BSD-2-Clause
// IPv4 and IPv6 addresses: from and to network byte order, from and to text.
#pragma once

#include <arpa/inet.h>
#include <linux/types.h>

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>

namespace moat {

// An IPv4 address. No bare number turns into one by itself, as it does not say its byte order.
struct Address {
  std::uint32_t value = 0;  // host byte order: 192.0.2.1 is 0xc0000201

  constexpr Address() = default;
  constexpr explicit Address(std::uint32_t host_order) : value(host_order) {}
  [[nodiscard]] static Address from_network(__be32 wire) { return Address(ntohl(wire)); }
  [[nodiscard]] __be32 to_network() const { return htonl(value); }

  friend constexpr auto operator<=>(const Address&, const Address&) = default;
};

// An IPv6 address, as it is in packets.
using Address6 = std::array<std::uint8_t, 16>;

// 127.0.0.0/8; ::1.
[[nodiscard]] constexpr bool is_loopback(Address address) { return address.value >> 24 == 127; }
[[nodiscard]] bool is_loopback(const Address6& address);

// The IPv4 address that ::ffff:192.0.2.1 stands for, or nothing.
[[nodiscard]] std::optional<Address> mapped_ipv4(const Address6& address);

// "192.0.2.9"; "2001:db8::9". What reads IPv4, and says what is wrong with it, is parse_address()
// of control/policy/prefix.h.
[[nodiscard]] std::string format_address(Address address);
[[nodiscard]] std::string format_address(const Address6& address);

[[nodiscard]] std::optional<Address6> parse_address6(const std::string& text);

}  // namespace moat
