// SPDX-License-Identifier: BSD-2-Clause
// What rules of all kinds have in common in the JSON of nft (libnftables-json(5)).
//
//   {"nftables": [{"metainfo": ...}, {"table": ...}, {"set": {"name", "elem": [VALUE, ...]}},
//                 {"map": {"name", "elem": [[KEY, VALUE], ...]}}, {"chain": ...},
//                 {"rule": {"chain", "handle", "expr": [STATEMENT, ...]}}, ...]}
//
//   STATEMENT = {"match": {"op", "left": WHAT, "right": VALUES}} | {"vmap": {"key", "data"}} | ...
//   WHAT      = {"payload": {"protocol": "tcp", "field": "dport"}} | {"concat": [WHAT, ...]} | ...
//   VALUES    = VALUE | {"set": [VALUE, ...]} | "@NAME"
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "control/cli/address_range.h"
#include "control/policy/port_range.h"

namespace moat::nft {

using Json = nlohmann::json;

// Nothing: it is no JSON. Of what is deeper than any rule, nothing is kept.
[[nodiscard]] std::optional<Json> parse_json(std::string_view json);

// The list of objects. The error says what is not as it should be.
[[nodiscard]] std::expected<Json, std::string> parse_ruleset(std::string_view json);

// Null where it has no such member.
[[nodiscard]] const Json* member(const Json& json, const char* key);
[[nodiscard]] std::string text(const Json* json);  // empty: it is no text
[[nodiscard]] std::string show(const Json& json);  // for a person, whatever its bytes are

// Whether looking at WHAT takes a packet of a protocol other than TCP.
[[nodiscard]] bool is_of_another_protocol(const Json& what);

// One value, a range of them or, of addresses, a prefix. Nothing: it is none.
[[nodiscard]] std::optional<PortRange> ports(const Json& value);
[[nodiscard]] std::optional<AddressRange> addresses(const Json& value);

// An element may have a comment or a timeout beside its value.
[[nodiscard]] const Json& bare(const Json& element);

// "ip filter", of a chain, a rule or a set.
[[nodiscard]] std::string table_of(const Json& object);
// "table ip filter, chain INPUT, handle 8"
[[nodiscard]] std::string place_of(const Json& rule);

// The named sets and maps of a ruleset.
class NamedSets {
 public:
  explicit NamedSets(const Json& ruleset);

  // Of VALUES of a rule in that table; null: it is one value, or a set that is not known.
  [[nodiscard]] const Json* elements_of(const Json& values, const std::string& table) const;

 private:
  std::map<std::string, Json> elements_;  // by table and name
};

}  // namespace moat::nft
