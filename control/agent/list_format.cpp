// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/list_format.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <charconv>

#include "control/text/digit.h"

namespace moat {
namespace {

// A list that has one of these is no list of a provider's clients, or somebody's mistake.
constexpr unsigned min_length = 8;

struct FormatRow {
  ListFormat format;
  std::string_view name;
  std::vector<std::string_view> selectors;
};

const std::vector<FormatRow>& formats() {
  static const std::vector<FormatRow> rows = {
      {ListFormat::text, "text", {}},
      {ListFormat::geofeed, "geofeed", {"country", "region", "city"}},
      {ListFormat::aws, "aws", {"service", "region", "network-border-group"}},
      {ListFormat::google, "google", {"service", "region"}},
      {ListFormat::azure, "azure", {"service", "region"}},
      {ListFormat::github, "github", {"service"}},
      {ListFormat::cloudflare_api, "cloudflare-api", {}},
      {ListFormat::fastly, "fastly", {}},
      {ListFormat::oracle, "oracle", {"service", "region"}},
  };
  return rows;
}

const FormatRow& row_of(ListFormat format) {
  return *std::ranges::find(formats(), format, &FormatRow::format);
}

std::string_view without_zeros(std::string_view number) {
  const auto first = number.find_first_not_of('0');
  return first == std::string_view::npos ? std::string_view{} : number.substr(first);
}

bool is_ipv6(std::string_view text) {
  const auto slash = text.find('/');
  if (!parse_address6(std::string(text.substr(0, slash)))) return false;
  if (slash == std::string_view::npos) return true;
  const auto length = text.substr(slash + 1);
  unsigned bits = 0;
  const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), bits);
  return error == std::errc{} && end == length.data() + length.size() && bits <= 128;
}

}  // namespace

std::string_view to_string(ListFormat format) { return row_of(format).name; }

std::expected<ListFormat, Error> parse_list_format(std::string_view text) {
  std::vector<std::string_view> names;
  for (const auto& row : formats()) {
    if (row.name == text) return row.format;
    names.push_back(row.name);
  }
  return std::unexpected(
      Error{"no such format of a list", fmt::format("write one of {}", fmt::join(names, ", "))});
}

std::vector<std::string_view> selectors_of(ListFormat format) { return row_of(format).selectors; }

bool is_older(std::string_view a, std::string_view b) {
  if (a.empty() || b.empty()) return false;
  if (!is_digits(a) || !is_digits(b)) return a < b;
  a = without_zeros(a);
  b = without_zeros(b);
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}

std::expected<std::optional<Prefix>, Error> parse_entry(std::string_view text) {
  if (text.contains(':')) {
    if (is_ipv6(text)) return std::nullopt;
    return std::unexpected(Error{"neither an IPv4 nor an IPv6 network", ""});
  }
  if (!text.contains('/')) {
    const auto address = parse_address(text);
    if (!address) return std::unexpected(address.error());
    return Prefix{*address, 32};
  }
  const auto prefix = parse_prefix(text);
  if (!prefix) return std::unexpected(prefix.error());
  if (prefix->length < min_length) {
    return std::unexpected(
        Error{fmt::format("a network wider than /{} in a fetched list", min_length),
              "if it is meant, write it in a file of your own"});
  }
  return *prefix;
}

Prefixes merge_prefixes(Prefixes prefixes) {
  std::ranges::sort(prefixes);
  Prefixes merged;
  std::size_t at = 0;
  while (at < prefixes.size()) {
    // What touches or overlaps is one stretch of addresses...
    std::uint64_t first = prefixes[at].first().value;
    std::uint64_t end = std::uint64_t{prefixes[at].last().value} + 1;
    for (++at; at < prefixes.size() && prefixes[at].first().value <= end; ++at)
      end = std::max(end, std::uint64_t{prefixes[at].last().value} + 1);
    // ...which is cut into the largest prefixes that fit.
    while (first < end) {
      const int aligned = first == 0 ? 32 : std::min(32, std::countr_zero(first));
      const int fits = static_cast<int>(std::bit_width(end - first)) - 1;
      const int bits = std::min(aligned, fits);
      merged.push_back(
          {Address(static_cast<std::uint32_t>(first)), static_cast<std::uint8_t>(32 - bits)});
      first += std::uint64_t{1} << bits;
    }
  }
  return merged;
}

}  // namespace moat
