// SPDX-License-Identifier: BSD-2-Clause
#include "control/state/cidrs_list.h"

namespace moat {
namespace {

constexpr std::string_view magic = "MOATCIDR";
constexpr std::size_t entry_bytes = 5;

}  // namespace

std::string format_cidrs_list(const Prefixes& cidrs) {
  std::string bytes(magic);
  bytes.reserve(magic.size() + entry_bytes * cidrs.size());
  for (const auto& [address, length] : cidrs) {
    for (const int shift : {24, 16, 8, 0}) bytes += static_cast<char>(address >> shift & 0xff);
    bytes += static_cast<char>(length);
  }
  return bytes;
}

std::expected<Prefixes, std::string> parse_cidrs_list(std::string_view bytes) {
  if (!bytes.starts_with(magic)) return std::unexpected("it is no list of CIDRs");
  bytes.remove_prefix(magic.size());
  if (bytes.size() % entry_bytes != 0) return std::unexpected("it is cut off");
  Prefixes cidrs;
  cidrs.reserve(bytes.size() / entry_bytes);
  for (; !bytes.empty(); bytes.remove_prefix(entry_bytes)) {
    Prefix prefix;
    for (std::size_t i = 0; i < 4; ++i) {
      prefix.address = prefix.address << 8 | static_cast<unsigned char>(bytes[i]);
    }
    prefix.length = static_cast<std::uint8_t>(bytes[4]);
    if (prefix.length > 32 || (prefix.address & ~Prefix::mask(prefix.length)) != 0) {
      return std::unexpected("it holds a prefix that is none");
    }
    cidrs.push_back(prefix);
  }
  return cidrs;
}

}  // namespace moat
