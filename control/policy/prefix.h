// SPDX-License-Identifier: BSD-2-Clause
// An IPv4 network: address and prefix length, read strictly and written in one way.
#pragma once

#include <compare>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "dataplane/address.h"
#include "dataplane/error.h"

namespace moat {

struct Prefix {
  Address address{};        // host bits zero
  std::uint8_t length = 0;  // 0..32

  friend auto operator<=>(const Prefix&, const Prefix&) = default;

  [[nodiscard]] Address first() const { return address; }
  [[nodiscard]] Address last() const { return Address(address.value | ~mask(length)); }
  [[nodiscard]] bool contains(Address source) const { return of(source, length) == *this; }

  [[nodiscard]] bool contains(Prefix inner) const {
    return length <= inner.length && contains(inner.address);
  }

  // The one of that length that `source` is in.
  [[nodiscard]] static constexpr Prefix of(Address source, std::uint8_t length) {
    return {Address(source.value & mask(length)), length};
  }
  // The bits of an address that are the network's, host byte order.
  [[nodiscard]] static constexpr std::uint32_t mask(unsigned length) {
    return length == 0 ? 0 : ~std::uint32_t{0} << (32 - length);
  }
};

// Reads dotted-quad IPv4: four decimal octets 0..255, no leading zeros, no short forms, no spaces.
[[nodiscard]] std::expected<Address, Error> parse_address(std::string_view text);

// Reads "ADDRESS/LENGTH", length 0..32, with no host bits set (the remedy names the network meant).
// A bare address is refused; the remedy offers ADDRESS/32.
[[nodiscard]] std::expected<Prefix, Error> parse_prefix(std::string_view text);

[[nodiscard]] std::string format_prefix(Prefix prefix);

}  // namespace moat
