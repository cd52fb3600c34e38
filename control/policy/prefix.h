// SPDX-License-Identifier: BSD-2-Clause
// An IPv4 network: address and prefix length, read strictly and written in one way.
#pragma once

#include <compare>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "dataplane/error.h"

namespace moat {

// IPv4 address in host byte order: 192.0.2.1 is 0xc0000201.
using Address = std::uint32_t;

struct Prefix {
  Address address = 0;      // host byte order, host bits zero
  std::uint8_t length = 0;  // 0..32

  friend auto operator<=>(const Prefix&, const Prefix&) = default;

  [[nodiscard]] Address first() const { return address; }
  [[nodiscard]] Address last() const { return address | ~mask(length); }
  [[nodiscard]] bool contains(Address source) const { return (source & mask(length)) == address; }
  [[nodiscard]] static constexpr Address mask(unsigned length) {
    return length == 0 ? 0 : ~Address{0} << (32 - length);
  }
};

// Reads dotted-quad IPv4: four decimal octets 0..255, no leading zeros, no short forms, no spaces.
[[nodiscard]] std::expected<Address, Error> parse_address(std::string_view text);

// Reads "ADDRESS/LENGTH", length 0..32, with no host bits set (the remedy names the network meant).
// A bare address is refused; the remedy offers ADDRESS/32.
[[nodiscard]] std::expected<Prefix, Error> parse_prefix(std::string_view text);

[[nodiscard]] std::string format_address(Address address);
[[nodiscard]] std::string format_prefix(Prefix prefix);

}  // namespace moat
