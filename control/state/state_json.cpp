// SPDX-License-Identifier: BSD-2-Clause
#include "control/state/state_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "control/text/fnv1a.h"
#include "control/text/input_limits.h"

namespace moat {
namespace {

using nlohmann::json;

constexpr int version = 1;

std::string checksum(std::string_view text) {
  Fnv1a hash;
  hash.add(text);
  return fmt::format("{:016x}", hash.value());
}

// Paths may hold any bytes: those that are no UTF-8 are lost, which costs a guess at most.
std::string dump(const json& value, int indent) {
  return value.dump(indent, ' ', false, json::error_handler_t::replace);
}

// What is thrown while parsing, and caught in parse_state.
[[noreturn]] void refuse(const std::string& what) { throw std::invalid_argument(what); }

template <typename T>
T value_of(std::expected<T, TextError> parsed, const std::string& text) {
  if (!parsed) refuse(fmt::format("{}: \"{}\"", parsed.error().message, text));
  return *parsed;
}

template <typename Number>
Number number_in(const json& value, std::uint64_t least, std::uint64_t most) {
  const auto number = value.get<std::uint64_t>();
  if (!value.is_number_unsigned() || number < least || number > most) {
    refuse(fmt::format("{} is not within {} to {}", value.dump(), least, most));
  }
  return static_cast<Number>(number);
}

// Writers and readers in pairs, from the small to the large.

json write(const Place& place) { return json::array({place.file, place.line, place.column}); }
Place read_place(const json& value) {
  return {value.at(0).get<std::string>(), value.at(1).get<unsigned>(), value.at(2).get<unsigned>()};
}

std::string write(WallTime time) { return format_time(time); }
WallTime read_time(const json& value) {
  const auto text = value.get<std::string>();
  return value_of(parse_time(text), text);
}

Prefix read_prefix(const json& value) {
  const auto text = value.get<std::string>();
  return value_of(parse_prefix(text), text);
}

Mode read_mode(const json& value) {
  const auto text = value.get<std::string>();
  return value_of(parse_mode(text), text);
}
std::optional<Mode> read_optional_mode(const json& object) {
  if (!object.contains("mode")) return std::nullopt;
  return read_mode(object.at("mode"));
}
void write_optional_mode(json& object, const std::optional<Mode>& mode) {
  if (mode) object["mode"] = to_string(*mode);
}

json write(const Endpoint& endpoint) {
  json value = {{"ports", endpoint.ports}, {"all", endpoint.all}};
  if (endpoint.address) value["address"] = format_address(*endpoint.address);
  if (endpoint.ipv6) value["ipv6"] = *endpoint.ipv6 == Ipv6::closed ? "closed" : "open";
  return value;
}
Endpoint read_endpoint(const json& value) {
  Endpoint endpoint;
  for (const auto& port : value.at("ports")) {
    endpoint.ports.push_back(number_in<std::uint16_t>(port, 1, 65'535));
  }
  endpoint.all = value.at("all").get<bool>();
  if (value.contains("address")) {
    const auto text = value.at("address").get<std::string>();
    endpoint.address = value_of(parse_address(text), text);
  }
  if (value.contains("ipv6")) {
    const auto text = value.at("ipv6").get<std::string>();
    if (!endpoint.all || (text != "closed" && text != "open")) refuse("no ipv6: " + value.dump());
    endpoint.ipv6 = text == "closed" ? Ipv6::closed : Ipv6::open;
  }
  const bool is_sound =
      endpoint.all ? endpoint.address && endpoint.ports.empty() : !endpoint.ports.empty();
  if (!is_sound || endpoint.ports.size() > limits::ports) refuse("no endpoint: " + value.dump());
  return endpoint;
}

json write(const Rule& rule) {
  json value = {{"id", rule.id}, {"label", rule.label}, {"place", write(rule.place)}};
  if (rule.cidr) value["cidr"] = format_prefix(*rule.cidr);
  if (!rule.cidr) value["managed-range"] = rule.managed_range;
  if (rule.expires) value["expires"] = write(*rule.expires);
  return value;
}
Rule read_rule(const json& value) {
  Rule rule;
  rule.id = value.at("id").get<std::string>();
  rule.label = value.at("label").get<std::string>();
  rule.place = read_place(value.at("place"));
  if (value.contains("cidr")) {
    rule.cidr = read_prefix(value.at("cidr"));
  } else {
    rule.managed_range = value.at("managed-range").get<std::string>();
  }
  if (value.contains("expires")) rule.expires = read_time(value.at("expires"));
  return rule;
}

json write(const Database& database) {
  json value = {{"id", database.id},
                {"endpoint", write(database.endpoint)},
                {"rules", json::array()},
                {"net-peerings", json::array()},
                {"place", write(database.place)}};
  for (const auto& rule : database.rules) value["rules"].push_back(write(rule));
  for (const auto& peering : database.peerings) {
    value["net-peerings"].push_back({{"id", peering.id},
                                     {"cidr", format_prefix(peering.cidr)},
                                     {"place", write(peering.place)}});
  }
  write_optional_mode(value, database.mode);
  return value;
}
Database read_database(const json& value) {
  Database database;
  database.id = value.at("id").get<std::string>();
  database.endpoint = read_endpoint(value.at("endpoint"));
  for (const auto& rule : value.at("rules")) database.rules.push_back(read_rule(rule));
  for (const auto& peering : value.at("net-peerings")) {
    database.peerings.push_back({peering.at("id").get<std::string>(),
                                 read_prefix(peering.at("cidr")), read_place(peering.at("place"))});
  }
  database.mode = read_optional_mode(value);
  database.place = read_place(value.at("place"));
  if (database.rules.size() > limits::rules || database.peerings.size() > limits::peerings) {
    refuse("too many rules for " + database.id);
  }
  return database;
}

json write(const Policy& policy, const ListDigests& digests) {
  json value = {{"mode", to_string(policy.mode)},
                {"databases", json::array()},
                {"managed-ranges", json::array()}};
  for (const auto& database : policy.databases) value["databases"].push_back(write(database));
  for (const auto& [id, range] : policy.ranges) {
    value["managed-ranges"].push_back({{"id", id},
                                       {"name", range.name},
                                       {"digest", digests.at(id)},
                                       {"place", write(range.place)}});
  }
  return value;
}
Policy read_policy(const json& value, ListDigests& digests) {
  Policy policy;
  policy.mode = read_mode(value.at("mode"));
  for (const auto& range : value.at("managed-ranges")) {
    const auto id = range.at("id").get<std::string>();
    policy.ranges[id] = {id, range.at("name").get<std::string>(), nullptr,
                         read_place(range.at("place"))};
    digests[id] = range.at("digest").get<std::string>();
  }
  for (const auto& database : value.at("databases")) {
    policy.databases.push_back(read_database(database));
    for (const auto& rule : policy.databases.back().rules) {
      if (!rule.cidr && !policy.ranges.contains(rule.managed_range)) {
        refuse("no such managed range: " + rule.managed_range);
      }
    }
  }
  const auto& databases = policy.databases;
  const bool are_sorted =
      std::ranges::is_sorted(databases, std::ranges::less_equal{}, &Database::id);
  if (databases.size() > limits::databases || !are_sorted) refuse("databases out of order");
  return policy;
}

json write(const Enforced& enforced, const ListDigests& digests) {
  json value = write(enforced.policy, digests);
  value["sealed"] = json::array();  // the ids of the placeholders
  for (const auto& database : enforced.policy.databases) {
    if (database.is_placeholder) value["sealed"].push_back(database.id);
  }
  value["database-of-file"] = json::array();
  for (const auto& [path, id] : enforced.database_of_file) {
    value["database-of-file"].push_back({path, id});
  }
  value["seals"] = json::array();
  for (const auto& seal : enforced.seals) {
    json entry = {{"base", seal.base}, {"file", seal.file}, {"endpoint", write(seal.endpoint)}};
    write_optional_mode(entry, seal.mode);
    value["seals"].push_back(std::move(entry));
  }
  return value;
}
Enforced read_enforced(const json& value, ListDigests& digests) {
  Enforced enforced;
  enforced.policy = read_policy(value, digests);
  const auto placeholders = value.at("sealed").get<std::set<std::string>>();
  for (auto& database : enforced.policy.databases) {
    database.is_placeholder = placeholders.contains(database.id);
  }
  for (const auto& entry : value.at("database-of-file")) {
    enforced.database_of_file[entry.at(0).get<std::string>()] = entry.at(1).get<std::string>();
  }
  for (const auto& seal : value.at("seals")) {
    enforced.seals.push_back({seal.at("base").get<std::string>(),
                              seal.at("file").get<std::string>(),
                              read_endpoint(seal.at("endpoint")), read_optional_mode(seal)});
  }
  return enforced;
}

json write(const SlotKey& key) { return json::array({key.database, key.id}); }
json write(const std::string& key) { return key; }
void read_key(const json& value, SlotKey& key) {
  key = {value.at(0).get<std::string>(), value.at(1).get<std::string>()};
}
void read_key(const json& value, std::string& key) { key = value.get<std::string>(); }

template <typename Key, typename Number>
json write(const Numbering<Key, Number>& numbers) {
  json in_use = json::array();
  json freed = json::array();
  for (const auto& [key, number] : numbers.in_use) in_use.push_back({number, write(key)});
  for (const auto& [number, key] : numbers.freed) freed.push_back({number, write(key)});
  return {{"in-use", std::move(in_use)}, {"freed", std::move(freed)}};
}
template <typename Key, typename Number>
void read_numbers(const json& value, std::uint64_t most, Numbering<Key, Number>& numbers) {
  std::set<Number> taken;
  const auto each = [&](const char* name, const auto& put) {
    for (const auto& entry : value.at(name)) {
      const auto number = number_in<Number>(entry.at(0), 1, most);
      Key key;
      read_key(entry.at(1), key);
      if (!taken.insert(number).second || !put(key, number))
        refuse("a slot twice: " + entry.dump());
    }
  };
  each("in-use", [&](const Key& k, Number n) { return numbers.in_use.emplace(k, n).second; });
  each("freed", [&](const Key& k, Number n) { return numbers.freed.emplace(n, k).second; });
}

json write(const State& state, const ListDigests& digests) {
  json value = {
      {"generation", state.generation},
      {"incomplete", state.is_incomplete},
      {"latest-time", write(state.latest_time.time)},
      {"latest-boot", state.latest_time.boot},
      {"latest-monotonic", state.latest_time.monotonic.count()},
      {"rule-slots", write(state.slots.rules())},
      {"owner-slots", write(state.slots.owners())},
      {"forgotten", state.forgotten},
      {"settings", state.settings},
      {"pins", {{"boot", state.pins.boot}, {"folder", state.pins.folder}, {"ids", state.pins.ids}}},
      {"retired", json::array()},
      {"last-hits", json::array()}};
  if (state.enforced) value["enforced"] = write(*state.enforced, digests);
  for (const auto& [id, counts] : state.retired) {
    value["retired"].push_back({id, std::uint64_t{counts.packets}, std::uint64_t{counts.bytes}});
  }
  for (const auto& [key, hit] : state.last_hits) {
    value["last-hits"].push_back({write(key), write(hit.time), hit.packets});
  }
  return value;
}
ParsedState read_state(const json& value) {
  ParsedState result;
  auto& state = result.state;
  state.generation = value.at("generation").get<std::uint64_t>();
  state.latest_time = {read_time(value.at("latest-time")), value.value("latest-boot", ""),
                       std::chrono::nanoseconds(value.value("latest-monotonic", std::int64_t{0}))};
  RuleSlots rules;
  OwnerSlots owners;
  read_numbers(value.at("rule-slots"), MOAT_RULE_SLOTS - 1, rules);
  read_numbers(value.at("owner-slots"), MOAT_MAX_DATABASES, owners);
  state.slots = Slots(std::move(rules), std::move(owners));
  state.forgotten = value.at("forgotten").get<std::set<std::string>>();
  state.settings = value.value("settings", "");
  state.is_incomplete = value.value("incomplete", false);
  if (value.contains("pins")) {
    const auto& pins = value.at("pins");
    state.pins = {pins.at("boot").get<std::string>(), pins.at("folder").get<std::string>(),
                  pins.at("ids").get<std::map<std::string, std::uint32_t>>()};
  }
  for (const auto& entry : value.at("retired")) {
    state.retired[entry.at(0).get<std::string>()] = {entry.at(1).get<std::uint64_t>(),
                                                     entry.at(2).get<std::uint64_t>()};
  }
  for (const auto& entry : value.at("last-hits")) {
    SlotKey key;
    read_key(entry.at(0), key);
    state.last_hits[key] = {read_time(entry.at(1)), entry.at(2).get<std::uint64_t>()};
  }
  if (value.contains("enforced")) {
    state.enforced = read_enforced(value.at("enforced"), result.digests);
  }
  return result;
}

}  // namespace

std::string format_state(const State& state, const ListDigests& digests) {
  // What is checked is the text as a reader will have it, with bad bytes replaced.
  const auto text = dump(write(state, digests), -1);
  return fmt::format("{{\n\"version\": {},\n\"checksum\": \"{}\",\n\"state\": {}\n}}\n", version,
                     checksum(text), text);
}

std::expected<ParsedState, std::string> parse_state(std::string_view text) {
  try {
    const auto document = json::parse(text);
    if (document.at("version") != version) {
      return std::unexpected(fmt::format("it has version {}, and this moatd knows {}",
                                         document.at("version").dump(), version));
    }
    const auto& state = document.at("state");
    if (document.at("checksum") != checksum(dump(state, -1))) {
      return std::unexpected("its checksum does not hold");
    }
    return read_state(state);
  } catch (const json::exception&) {  // in words that say nothing to an operator
    return std::unexpected("it is not what moatd writes");
  } catch (const std::exception& error) {
    return std::unexpected(error.what());
  }
}

}  // namespace moat
