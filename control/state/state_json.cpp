// SPDX-License-Identifier: BSD-2-Clause
#include "control/state/state_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "control/policy/endpoint.h"
#include "control/policy/json_codec.h"
#include "control/text/fnv1a.h"
#include "control/text/input_limits.h"

namespace moat {
namespace {

using nlohmann::json;

constexpr int version = 1;

struct Style {
  using Json = json;
  static constexpr bool omits = true;
};

// Of `Enforced`, which is written with the digests of its managed ranges and without their CIDRs.
struct HeldDownRecord {
  WallTime since;
  WallTime until;
  std::string digest;
};
struct RangeRecord {
  std::string id;
  std::string name;
  std::string digest;
  Place place;
  std::vector<HeldDownRecord> held_down = {};
};
// `admitted`: net peerings as they were written when they let their networks in without a rule; no
// state of today has them.
struct DatabaseRecord : Database {
  std::optional<std::vector<NetPeering>> admitted;
};
struct EnforcedRecord {
  Mode mode = Mode::enforce;
  std::vector<DatabaseRecord> databases;
  std::vector<RangeRecord> ranges;
  std::vector<std::string> closed;  // ids of the placeholder databases
  std::vector<Placeholder> placeholders;
  std::map<std::string, std::string> database_of_file;
  Rivals rivals;
  std::map<std::string, RangeHistory> range_histories;
};
template <typename Key, typename Number>
struct NumbersRecord {
  std::multimap<Number, Key> in_use;
  std::map<Number, Key> freed;
};
struct StateRecord : State {
  NumbersRecord<SlotKey, std::uint16_t> rule_slots;
  NumbersRecord<std::string, std::uint8_t> owner_slots;
  std::optional<EnforcedRecord> enforced_record;
};

}  // namespace

namespace view {

template <>
inline constexpr bool is_row<Style, Place> = true;
template <>
inline constexpr bool is_row<Style, SlotKey> = true;

template <>
inline constexpr auto members_of<Rule> = [](auto& v, auto& member) {
  member("id", v.id)("cidr", v.cidr)("managed-range", v.managed_range)(
      "net-peering", v.net_peering)("label", v.label)("expires", v.expires)("place", v.place);
};
template <>
inline constexpr auto members_of<NetPeering> = [](auto& v, auto& member) {
  member("id", v.id)("cidr", v.cidr)("account", v.account)("label", v.label)("place", v.place);
};
template <>
inline constexpr auto members_of<Expectation> = [](auto& v, auto& member) {
  member("allowed", v.allowed)("source", v.source)("label", v.label)("place", v.place);
};
template <>
inline constexpr auto members_of<DatabaseRecord> = [](auto& v, auto& member) {
  member("id", v.id)("endpoint", v.endpoint)("rules", v.rules)("registered", v.peerings)(
      "net-peerings", v.admitted)("expect", v.expectations)("mode", v.mode)("place", v.place);
};
template <>
inline constexpr auto members_of<HeldDownRecord> =
    [](auto& v, auto& member) { member("since", v.since)("until", v.until)("digest", v.digest); };
template <>
inline constexpr auto members_of<RangeRecord> = [](auto& v, auto& member) {
  member("id", v.id)("name", v.name)("digest", v.digest)("place", v.place)("held-down",
                                                                           v.held_down);
};
template <>
inline constexpr auto members_of<RangeHistory> = [](auto& v, auto& member) {
  member("changed", v.changed)("added", v.added)("removed", v.removed)("not-held", v.not_held)(
      "returned", v.returned)("since", v.since);
};
template <>
inline constexpr auto members_of<Placeholder> = [](auto& v, auto& member) {
  member("base", v.base)("file", v.file)("endpoint", v.endpoint)("mode", v.mode);
};
template <>
inline constexpr auto members_of<EnforcedRecord> = [](auto& v, auto& member) {
  member("mode", v.mode)("databases", v.databases)("managed-ranges", v.ranges)("sealed", v.closed)(
      "seals", v.placeholders)("database-of-file", AsRows{v.database_of_file})("rivals", v.rivals)(
      "range-histories", v.range_histories);
};
template <>
inline constexpr auto members_of<SlotKey> =
    [](auto& v, auto& member) { member("database", v.database)("id", v.id); };

template <typename Key, typename Number>
inline constexpr auto members_of<NumbersRecord<Key, Number>> =
    [](auto& v, auto& member) { member("in-use", AsRows{v.in_use})("freed", AsRows{v.freed}); };
template <>
inline constexpr auto members_of<moat_counter> =
    [](auto& v, auto& member) { member("packets", v.packets)("bytes", v.bytes); };
template <>
inline constexpr auto members_of<LastHit> =
    [](auto& v, auto& member) { member("time", v.time)("packets", v.packets); };
template <>
inline constexpr auto members_of<LastPins> =
    [](auto& v, auto& member) { member("boot", v.boot)("folder", v.folder)("ids", v.ids); };
template <>
inline constexpr auto members_of<ExposedPort> = [](auto& v, auto& member) {
  member("database", v.database)("address", v.address)("port", v.port);
};
template <>
inline constexpr auto members_of<StateRecord> = [](auto& v, auto& member) {
  member("generation", v.generation)("enforced", v.enforced_record)("incomplete", v.is_incomplete)(
      "rule-slots", v.rule_slots)("owner-slots", v.owner_slots)("retired", AsRows{v.retired})(
      "last-hits", AsRows{v.last_hits})("counted-since", AsRows{v.counted_since})(
      "latest-time", v.latest_time.time)("latest-boot", v.latest_time.boot)(
      "latest-monotonic", v.latest_time.monotonic)("forgotten", v.forgotten)(
      "accepted", v.accepted)("pins", v.pins)("uncovered", v.exposed)("settings", v.settings);
};

}  // namespace view

namespace {

std::string checksum(std::string_view text) {
  Fnv1a hash;
  hash.add(text);
  return fmt::format("{:016x}", hash.value());
}

EnforcedRecord record_of(const EnforcedState& enforced, const ListDigests& digests) {
  EnforcedRecord record{enforced.policy.mode,
                        {},
                        {},
                        {},
                        enforced.placeholders,
                        enforced.database_of_file,
                        enforced.rivals,
                        enforced.range_histories};
  for (const auto& database : enforced.policy.databases) {
    record.databases.push_back({database, {}});
    if (database.is_placeholder) record.closed.push_back(database.id);
  }
  for (const auto& [id, range] : enforced.policy.ranges) {
    auto& entry =
        record.ranges.emplace_back(RangeRecord{id, range.name, digests.lists.at(id), range.place});
    const auto held = digests.held_down.find(id);
    for (std::size_t i = 0; i < range.held_down.size(); ++i)
      entry.held_down.push_back(
          {range.held_down[i].since, range.held_down[i].until, held->second[i]});
  }
  return record;
}

// What is thrown while a state is checked, and caught in parse_state.
[[noreturn]] void refuse(const std::string& what) { throw std::invalid_argument(what); }

void check(const Endpoint& endpoint) {
  const auto& ports = endpoint.ports;
  const bool is_sound =
      endpoint.all ? endpoint.address && ports.empty() : !endpoint.ipv6 && !ports.empty();
  if (!is_sound || ports.size() > limits::ports || std::ranges::find(ports, 0) != ports.end()) {
    refuse("no endpoint: " + format_endpoint(endpoint));
  }
}

void check(const Policy& policy) {
  const auto& databases = policy.databases;
  const bool are_sorted =
      std::ranges::is_sorted(databases, std::ranges::less_equal{}, &Database::id);
  if (databases.size() > limits::databases || !are_sorted) refuse("databases out of order");
  for (const auto& database : databases) {
    check(database.endpoint);
    // With those that stand for net peerings which needed none: see admit_peerings().
    if (database.rules.size() > limits::rules + limits::peerings ||
        database.peerings.size() > limits::peerings ||
        database.expectations.size() > limits::expectations) {
      refuse("too many rules for " + database.id);
    }
    for (const auto& rule : database.rules) {
      if (rule.kind() == SourceKind::managed_range && !policy.ranges.contains(rule.managed_range)) {
        refuse("no such managed range: " + rule.managed_range);
      }
      if (!rule.net_peering.empty() && database.find_peering(rule.net_peering) == nullptr) {
        refuse("no such net peering: " + rule.net_peering);
      }
    }
  }
}

template <typename Key, typename Number>
NumbersRecord<Key, Number> record_of(const Numbering<Key, Number>& numbers) {
  NumbersRecord<Key, Number> record{{}, numbers.freed};
  for (const auto& [key, number] : numbers.in_use) record.in_use.emplace(number, key);
  return record;
}

template <typename Key, typename Number>
Numbering<Key, Number> read_numbers(const NumbersRecord<Key, Number>& record, unsigned max) {
  Numbering<Key, Number> numbers{{}, record.freed};
  std::set<Number> taken;
  const auto take = [&](Number number) {
    if (number < 1 || number > max) refuse(fmt::format("{} is not within 1 to {}", number, max));
    if (!taken.insert(number).second) refuse(fmt::format("slot {} twice", number));
  };
  for (const auto& [number, key] : record.freed) take(number);
  for (const auto& [number, key] : record.in_use) {
    take(number);
    numbers.in_use.emplace(key, number);
  }
  return numbers;
}

// What was enforced let these networks in, and stays enforced where its file is held back or gone:
// so each gets a rule, with the peering's id, by which its hits were counted.
void admit_peerings(DatabaseRecord& database) {
  if (!database.admitted) return;
  for (auto& peering : *database.admitted) {
    Rule rule;
    rule.id = rule.net_peering = peering.id;
    rule.place = peering.place;
    database.rules.push_back(std::move(rule));
    database.peerings.push_back(std::move(peering));
  }
}

EnforcedState read_enforced(EnforcedRecord record, ListDigests& digests) {
  EnforcedState enforced;
  auto& policy = enforced.policy;
  policy.mode = record.mode;
  for (auto& database : record.databases) {
    admit_peerings(database);
    database.is_placeholder = std::ranges::find(record.closed, database.id) != record.closed.end();
    policy.databases.push_back(std::move(database));
  }
  for (auto& range : record.ranges) {
    digests.lists[range.id] = range.digest;
    auto& entry = policy.ranges[range.id];
    entry = {range.id, range.name, nullptr, range.place};
    for (const auto& held : range.held_down) {
      digests.held_down[range.id].push_back(held.digest);
      entry.held_down.push_back({held.since, held.until, nullptr});
    }
  }
  check(policy);
  for (const auto& placeholder : record.placeholders) check(placeholder.endpoint);
  enforced.placeholders = std::move(record.placeholders);
  enforced.database_of_file = std::move(record.database_of_file);
  enforced.rivals = std::move(record.rivals);
  enforced.range_histories = std::move(record.range_histories);
  return enforced;
}

ParsedState read_state(StateRecord record) {
  ParsedState result;
  if (record.enforced_record) {
    record.enforced = read_enforced(std::move(*record.enforced_record), result.digests);
  }
  record.slots = Slots(read_numbers(record.rule_slots, MOAT_RULE_SLOTS - 1),
                       read_numbers(record.owner_slots, MOAT_MAX_DATABASES));
  result.state = std::move(record);
  return result;
}

}  // namespace

std::string format_state(const State& state, const ListDigests& digests) {
  StateRecord record{state, record_of(state.slots.rules()), record_of(state.slots.owners()), {}};
  if (state.enforced) record.enforced_record = record_of(*state.enforced, digests);
  // What is checked is the text as a reader will have it, with bad bytes replaced.
  // Paths may hold any bytes: those that are no UTF-8 are lost, which costs a guess at most.
  const auto text = view::text_of<Style>(record);
  return fmt::format("{{\n\"version\": {},\n\"checksum\": \"{}\",\n\"state\": {}\n}}\n", version,
                     checksum(text), text);
}

std::expected<ParsedState, std::string> parse_state(std::string_view text) {
  try {
    const auto document = read_json(text);
    if (document.at("version") != version) {
      return std::unexpected(fmt::format("it has version {}, and this moatd knows {}",
                                         json_text(document.at("version")), version));
    }
    const auto& state = document.at("state");
    if (document.at("checksum") != checksum(json_text(state))) {
      return std::unexpected("its checksum does not hold");
    }
    StateRecord record;
    std::string wrong;
    if (view::Decoder<Style>::take(state, record, wrong)) return read_state(std::move(record));
    return std::unexpected("it is not what moatd writes: " + wrong);
  } catch (const json::exception&) {  // in words that say nothing to an operator
    return std::unexpected("it is not what moatd writes");
  } catch (const std::invalid_argument& error) {
    return std::unexpected(error.what());
  }
}

}  // namespace moat
