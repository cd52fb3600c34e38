// SPDX-License-Identifier: BSD-2-Clause
#include "control/state/cidrs_lists.h"

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "control/policy/cidrs_digest.h"
#include "control/text/fnv1a.h"

namespace moat {
namespace {

constexpr std::string_view magic = "MOATCIDR";
constexpr std::size_t digest_bytes = 16;
constexpr std::size_t cidr_bytes = 5;

void put(std::string& bytes, std::uint64_t number, unsigned width) {
  for (unsigned shift = width * 8; shift != 0;) {
    shift -= 8;
    bytes += static_cast<char>(number >> shift & 0xff);
  }
}

std::uint64_t check_of(std::string_view bytes) {
  Fnv1a hash;
  hash.add(bytes);
  return hash.value();
}

// Takes bytes off the front, as long as there are enough.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  std::optional<std::string_view> bytes(std::size_t count) {
    if (rest_.size() < count) return std::nullopt;
    const auto taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }

  std::optional<std::uint64_t> number(std::size_t width) {
    const auto taken = bytes(width);
    if (!taken) return std::nullopt;
    std::uint64_t number = 0;
    for (const char c : *taken) number = number << 8 | static_cast<unsigned char>(c);
    return number;
  }

  [[nodiscard]] std::size_t left() const { return rest_.size(); }

 private:
  std::string_view rest_;
};

ReadCidrs read_list(Reader& reader, std::uint64_t count, std::string_view digest) {
  auto list = reader.bytes(count * cidr_bytes);
  if (!list) {
    (void)reader.bytes(reader.left());
    return std::unexpected("it is cut off");
  }
  Reader cidrs_reader(*list);
  Prefixes cidrs;
  cidrs.reserve(count);
  while (cidrs_reader.left() != 0) {
    Prefix prefix;
    prefix.address = Address(static_cast<std::uint32_t>(*cidrs_reader.number(4)));
    prefix.length = static_cast<std::uint8_t>(*cidrs_reader.number(1));
    if (prefix.length > 32 || prefix != Prefix::of(prefix.address, prefix.length))
      return std::unexpected("it holds a prefix that is none");
    cidrs.push_back(prefix);
  }
  if (cidrs_digest(cidrs) != digest) return std::unexpected("its content is not what was kept");
  return cidrs;
}

}  // namespace

std::string format_cidrs_lists(const CidrsLists& lists) {
  std::string bytes(magic);
  std::size_t cidrs = 0;
  put(bytes, lists.size(), 4);
  for (const auto& [digest, list] : lists) {
    bytes += digest;
    put(bytes, list->size(), 4);
    cidrs += list->size();
  }
  put(bytes, check_of(bytes), 8);
  bytes.reserve(bytes.size() + cidrs * cidr_bytes);
  for (const auto& [digest, list] : lists) {
    for (const auto& prefix : *list) {
      put(bytes, prefix.address.value, 4);
      put(bytes, prefix.length, 1);
    }
  }
  return bytes;
}

std::expected<std::map<std::string, ReadCidrs>, std::string> parse_cidrs_lists(
    std::string_view bytes) {
  Reader reader(bytes);
  if (reader.bytes(magic.size()) != magic) return std::unexpected("it holds no lists of CIDRs");
  const auto count = reader.number(4);
  std::vector<std::pair<std::string_view, std::uint64_t>> head;
  for (std::uint64_t i = 0; count && i < *count; ++i) {
    const auto digest = reader.bytes(digest_bytes);
    const auto cidrs = reader.number(4);
    if (!cidrs) return std::unexpected("it is cut off");
    head.emplace_back(*digest, *cidrs);
  }
  const auto checked = bytes.substr(0, bytes.size() - reader.left());
  if (reader.number(8) != check_of(checked)) return std::unexpected("it is damaged");
  std::map<std::string, ReadCidrs> lists;
  for (const auto& [digest, cidrs] : head) lists.emplace(digest, read_list(reader, cidrs, digest));
  return lists;
}

}  // namespace moat
