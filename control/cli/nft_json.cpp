// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/nft_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "control/policy/json_text.h"
#include "control/policy/prefix.h"

namespace moat::nft {
namespace {

constexpr int max_depth = 64;  // no rule is that deep, and what reads them calls itself

std::optional<std::uint16_t> port(const Json& json) {
  if (!json.is_number_unsigned() || json.get<std::uint64_t>() > 65535) return std::nullopt;
  return json.get<std::uint16_t>();
}

std::optional<Address> address(const Json& json) {
  const auto parsed = parse_address(text(&json));
  if (!parsed) return std::nullopt;
  return *parsed;
}

// Two values that stand for those between them, or one for itself.
template <typename T>
std::optional<std::pair<T, T>> bounds(const Json& json, std::optional<T> (*read)(const Json&)) {
  const auto* range = member(json, "range");
  const bool is_range = range != nullptr && range->is_array() && range->size() == 2;
  const auto first = read(is_range ? (*range)[0] : json);
  const auto last = is_range ? read((*range)[1]) : first;
  if (!first || !last || *last < *first) return std::nullopt;
  return std::pair(*first, *last);
}

}  // namespace

std::optional<Json> parse_json(std::string_view json) {
  const auto keep = [](int depth, Json::parse_event_t, Json&) { return depth <= max_depth; };
  auto whole = Json::parse(json, keep, false);
  if (whole.is_discarded()) return std::nullopt;
  return whole;
}

std::expected<Json, std::string> parse_ruleset(std::string_view json) {
  const auto whole = parse_json(json);
  const auto* list = whole ? member(*whole, "nftables") : nullptr;
  if (list == nullptr || !list->is_array()) return std::unexpected("it is no ruleset in JSON");
  for (const auto& object : *list) {
    const auto* info = member(object, "metainfo");
    if (info == nullptr) continue;
    const auto* version = member(*info, "json_schema_version");
    if (version == nullptr || *version != 1) return std::unexpected("its schema is not version 1");
  }
  return *list;
}

const Json* member(const Json& json, const char* key) {
  if (!json.is_object()) return nullptr;
  const auto entry = json.find(key);
  return entry == json.end() ? nullptr : &*entry;
}

std::string text(const Json* json) {
  return json != nullptr && json->is_string() ? json->get<std::string>() : std::string();
}

std::string show(const Json& json) { return json_text(json); }

bool is_of_another_protocol(const Json& what) {
  constexpr std::array others = {"udp",  "udplite", "sctp", "dccp", "icmp", "icmpv6",
                                 "igmp", "esp",     "ah",   "comp", "arp"};
  const auto* payload = member(what, "payload");
  const auto protocol = text(payload != nullptr ? member(*payload, "protocol") : nullptr);
  return std::ranges::find(others, protocol) != others.end() || member(what, "icmp") != nullptr;
}

std::optional<PortRange> ports(const Json& value) {
  const auto found = bounds<std::uint16_t>(value, port);
  if (!found) return std::nullopt;
  return PortRange{found->first, found->second};
}

std::optional<AddressRange> addresses(const Json& value) {
  if (const auto* prefix = member(value, "prefix")) {
    const auto* length = member(*prefix, "len");
    const auto* base = member(*prefix, "addr");
    if (length == nullptr || base == nullptr || !length->is_number_unsigned()) return std::nullopt;
    const auto first = address(*base);
    if (!first || length->get<std::uint64_t>() > 32) return std::nullopt;
    const auto whole = Prefix::of(*first, length->get<std::uint8_t>());
    return AddressRange{whole.first(), whole.last()};
  }
  const auto found = bounds<Address>(value, address);
  if (!found) return std::nullopt;
  return AddressRange{found->first, found->second};
}

const Json& bare(const Json& element) {
  const auto* wrapped = member(element, "elem");
  const auto* value = wrapped == nullptr ? nullptr : member(*wrapped, "val");
  return value == nullptr ? element : *value;
}

std::string table_of(const Json& object) {
  return fmt::format("{} {}", text(member(object, "family")), text(member(object, "table")));
}

std::string place_of(const Json& rule) {
  const auto* handle = member(rule, "handle");
  return fmt::format("table {}, chain {}, handle {}", table_of(rule), text(member(rule, "chain")),
                     handle == nullptr ? "?" : show(*handle));
}

NamedSets::NamedSets(const Json& ruleset) {
  for (const auto& object : ruleset) {
    for (const auto* kind : {"set", "map"}) {
      const auto* set = member(object, kind);
      if (set == nullptr) continue;
      const auto* elements = member(*set, "elem");
      elements_[table_of(*set) + " " + text(member(*set, "name"))] =
          elements == nullptr || !elements->is_array() ? Json::array() : *elements;
    }
  }
}

const Json* NamedSets::elements_of(const Json& values, const std::string& table) const {
  if (const auto* set = member(values, "set")) return set->is_array() ? set : nullptr;
  const auto name = text(&values);
  if (!name.starts_with('@')) return nullptr;
  const auto entry = elements_.find(table + " " + name.substr(1));
  return entry == elements_.end() ? nullptr : &entry->second;
}

}  // namespace moat::nft
