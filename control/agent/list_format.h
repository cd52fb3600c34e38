// SPDX-License-Identifier: BSD-2-Clause
// The formats of providers' lists, and what their parsers share.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/policy/policy.h"
#include "dataplane/error.h"

namespace moat {

enum class ListFormat : std::uint8_t {
  text,            // a CIDR or an address a line; comments from #, ; or //
  geofeed,         // CSV of RFC 8805: prefix, country, region, city
  aws,             // ip-ranges.json
  google,          // cloud.json, goog.json
  azure,           // ServiceTags_*.json
  github,          // api.github.com/meta
  cloudflare_api,  // api.cloudflare.com/client/v4/ips
  fastly,          // public-ip-list
  oracle           // public_ip_ranges.json
};

[[nodiscard]] std::string_view to_string(ListFormat format);
[[nodiscard]] std::expected<ListFormat, Error> parse_list_format(std::string_view text);

// What of a list is meant: by "service", "region", "network-border-group", "country" or "city" the
// values of which one must be an entry's. What is not named does not matter.
using Selection = std::map<std::string, std::vector<std::string>, std::less<>>;

// By what entries of that format can be selected.
[[nodiscard]] std::vector<std::string_view> selectors_of(ListFormat format);

struct ParsedList {
  Prefixes cidrs;           // merged, ascending
  std::size_t entries = 0;  // IPv4, selected, as they stand in the list
  std::size_t ipv6 = 0;     // passed over
  std::string version;      // as the list tells it; empty: it tells none
};

// Whether version `a` came before `b`; numbers as numbers. Nothing is older than a list without
// one.
[[nodiscard]] bool is_older(std::string_view a, std::string_view b);

// One entry: "192.0.2.0/24", or an address alone. Nothing: it is IPv6.
[[nodiscard]] std::expected<std::optional<Prefix>, Error> parse_entry(std::string_view text);

// The least number of prefixes for the same addresses, ascending.
[[nodiscard]] Prefixes merge_prefixes(Prefixes prefixes);

}  // namespace moat
