// SPDX-License-Identifier: BSD-2-Clause
// Reading is in two passes: a quick one that takes only what is right, and, for texts it refuses, a
// slow one that finds out what their author meant. Lists of a million lines meet only the first.
#include "control/policy/prefix.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <vector>

#include "control/text/digit.h"

namespace moat {
namespace {

// Takes a decimal number of at most `most`, without leading zeros, off the front of `text`.
std::optional<unsigned> take_number(std::string_view& text, unsigned most) {
  unsigned number = 0;
  std::size_t digits = 0;
  while (digits < text.size() && digits < 3 && is_digit(text[digits])) {
    number = number * 10 + static_cast<unsigned>(text[digits++] - '0');
  }
  if (digits == 0 || number > most || (digits > 1 && text[0] == '0')) return std::nullopt;
  text.remove_prefix(digits);
  return number;
}

std::optional<Address> take_address(std::string_view& text) {
  std::uint32_t address = 0;
  for (int octet = 0; octet < 4; ++octet) {
    if (octet > 0) {
      if (text.empty() || text[0] != '.') return std::nullopt;
      text.remove_prefix(1);
    }
    const auto number = take_number(text, 255);
    if (!number) return std::nullopt;
    address = address << 8 | *number;
  }
  return Address(address);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::string_view without_leading_zeros(std::string_view digits) {
  while (digits.size() > 1 && digits[0] == '0') digits.remove_prefix(1);
  return digits;
}

// The same octets without leading zeros, if that alone makes an address.
std::string without_leading_zeros_each(const std::vector<std::string_view>& octets) {
  std::string text;
  for (const auto octet : octets) {
    if (!text.empty()) text += '.';
    text += without_leading_zeros(octet);
  }
  return text;
}

Error why_no_octets(const std::vector<std::string_view>& octets) {
  for (const auto octet : octets) {
    if (octet.empty()) {
      return {"an octet of the address is empty", "write four numbers, as in 192.0.2.1"};
    }
    const auto number = without_leading_zeros(octet);
    if (number.size() > 3 || std::stoul(std::string(number)) > 255) {
      return {fmt::format("octet {} is over 255", octet), "each octet is 0 to 255"};
    }
  }
  if (octets.size() > 4) return {"an IPv4 address has four octets", "write as in 192.0.2.1"};
  if (octets.size() < 4) {
    return {"the address is short of octets", "write all four octets, as in 10.0.0.0"};
  }
  // Some programs read a leading zero as octal, others as decimal.
  return {"an octet has a leading zero",
          fmt::format("write {} if decimal was meant", without_leading_zeros_each(octets))};
}

bool looks_like_ipv6(std::string_view text) {
  return std::ranges::count(text, ':') >= 2 && std::ranges::all_of(text, [](char c) {
           return is_digit(c) || c == ':' || c == '.' || (c >= 'a' && c <= 'f') ||
                  (c >= 'A' && c <= 'F');
         });
}

// What stands before a port, as in 192.0.2.1:5432; empty: it is not so.
std::string_view before_port(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) return "";
  auto address = text.substr(0, colon);
  const auto port = text.substr(colon + 1);
  const auto whole = address;
  const bool is_so =
      take_address(address) && address.empty() && std::ranges::all_of(port, is_digit);
  return is_so ? whole : "";
}

Error why_no_address(std::string_view text) {
  if (text.empty()) return {"the address is empty", "write as in 192.0.2.1"};
  if (const auto address = before_port(text); !address.empty()) {
    return {"a port follows the address", fmt::format("write {}", address)};
  }
  if (looks_like_ipv6(text)) {
    return {"an IPv6 address", "there are rules for IPv4 alone: see `endpoint` in moat.yaml(5)"};
  }
  if (std::ranges::any_of(text, [](char c) { return c == ' ' || c == '\t'; })) {
    return {"there is a space in the address", "write it without spaces"};
  }
  if (!std::ranges::all_of(text, [](char c) { return is_digit(c) || c == '.'; })) {
    return {"not an IPv4 address", "write four numbers, as in 192.0.2.1"};
  }
  return why_no_octets(split(text, '.'));
}

// The length that a netmask stands for, as in /255.255.255.0.
std::optional<int> length_of_netmask(std::string_view text) {
  const auto mask = take_address(text);
  if (!mask || !text.empty()) return std::nullopt;
  const int length = std::countl_one(mask->value);
  if (Prefix::mask(static_cast<unsigned>(length)) != mask->value) return std::nullopt;
  return length;
}

Error why_no_length(std::string_view address, std::string_view text) {
  if (text.empty()) {
    return {"the prefix length is empty", fmt::format("write {}/32 for one address", address)};
  }
  if (const auto length = length_of_netmask(text)) {
    return {"a netmask stands where the prefix length should",
            fmt::format("write {}/{}", address, *length)};
  }
  if (!std::ranges::all_of(text, is_digit)) {
    return {"the prefix length is not a number", "write 0 to 32 after the slash"};
  }
  const auto number = without_leading_zeros(text);
  if (number.size() > 2 || std::stoul(std::string(number)) > 32) {
    return {fmt::format("prefix length {} is over 32", number), "an IPv4 prefix has 0 to 32 bits"};
  }
  return {"the prefix length has a leading zero", fmt::format("write {}/{}", address, number)};
}

Error why_no_prefix(std::string_view text) {
  const auto slash = text.find('/');
  const auto address = text.substr(0, slash);
  if (const auto read = parse_address(address); !read) return read.error();
  if (slash == std::string_view::npos) {
    return {"the prefix length is missing", fmt::format("write {}/32 for this address", address)};
  }
  return why_no_length(address, text.substr(slash + 1));
}

}  // namespace

std::expected<Address, Error> parse_address(std::string_view text) {
  auto rest = text;
  const auto address = take_address(rest);
  if (address && rest.empty()) return *address;
  return std::unexpected(why_no_address(text));
}

std::expected<Prefix, Error> parse_prefix(std::string_view text) {
  auto rest = text;
  const auto address = take_address(rest);
  std::optional<unsigned> length;
  if (address && !rest.empty() && rest[0] == '/') {
    rest.remove_prefix(1);
    length = take_number(rest, 32);
  }
  if (!length || !rest.empty()) return std::unexpected(why_no_prefix(text));
  const auto network = Prefix::of(*address, static_cast<std::uint8_t>(*length));
  if (network.address != *address) {
    return std::unexpected(
        Error{"host bits are set", fmt::format("the network is {}, this address alone {}/32",
                                               format_prefix(network), format_address(*address))});
  }
  return network;
}

std::string format_prefix(Prefix prefix) {
  return fmt::format("{}/{}", format_address(prefix.address), prefix.length);
}

}  // namespace moat
