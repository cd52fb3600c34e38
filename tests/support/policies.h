// SPDX-License-Identifier: BSD-2-Clause
// Random policies for properties: prefixes nested, adjacent, whole and single, so that borders
// meet.
#pragma once

#include <algorithm>
#include <chrono>
#include <random>
#include <string>
#include <vector>

#include "control/enforce/compile.h"
#include "control/policy/policy.h"

namespace moat::testing {

using Random = std::mt19937_64;

inline std::uint32_t below(Random& random, std::uint32_t limit) {
  return std::uniform_int_distribution<std::uint32_t>(0, limit - 1)(random);
}

// One prefix: mostly near others (a few hot /8s), of any length, 0 and 32 included.
inline Prefix random_prefix(Random& random) {
  static constexpr std::uint8_t lengths[] = {0,  1,  8,  9,  10, 15, 16, 17, 18,
                                             22, 24, 25, 28, 30, 31, 32, 32, 32};
  const std::uint8_t length = lengths[below(random, std::size(lengths))];
  auto address = static_cast<std::uint32_t>(random());
  if (below(random, 4) != 0) address = (address & 0x0003ffff) | below(random, 3) << 30;
  return Prefix::of(Address(address), length);
}

inline constexpr WallTime kNow{std::chrono::seconds{1'800'000'000}};

inline std::optional<WallTime> random_expiry(Random& random) {
  if (below(random, 3) != 0) return std::nullopt;
  return kNow + std::chrono::seconds{static_cast<int>(below(random, 20)) - 5};
}

inline Database random_database(Random& random, unsigned number,
                                const std::vector<std::string>& ranges) {
  Database database;
  database.id = "db" + std::to_string(number);
  database.endpoint.ports = {static_cast<std::uint16_t>(5432 + number)};
  const auto is_taken = [&](const std::string& source) {
    return std::any_of(database.rules.begin(), database.rules.end(),
                       [&](const Rule& rule) { return rule.source() == source; });
  };
  for (unsigned i = 0, peerings = below(random, 4); i < peerings; i++)
    database.peerings.push_back({"pcx-" + std::to_string(i), random_prefix(random), "", "", {}});
  for (unsigned i = 0, rules = below(random, 12); i < rules; i++) {
    Rule rule;
    const auto kind = below(random, 4);
    if (kind == 0 && !database.peerings.empty())
      rule.net_peering =
          "pcx-" +
          std::to_string(below(random, static_cast<std::uint32_t>(database.peerings.size())));
    else if (kind == 1 && !ranges.empty())
      rule.managed_range = ranges[below(random, static_cast<std::uint32_t>(ranges.size()))];
    else
      rule.cidr = random_prefix(random);
    rule.expires = random_expiry(random);
    if (!is_taken(rule.source())) database.rules.push_back(rule);
  }
  derive_rule_ids(database);
  return database;
}

inline Policy random_policy(std::uint64_t seed) {
  Random random(seed);
  Policy policy;
  std::vector<std::string> ids;
  for (unsigned i = 0, ranges = below(random, 5); i < ranges; i++) {
    auto cidrs = std::make_shared<Prefixes>();
    for (unsigned n = 0, size = below(random, 40); n < size; n++)
      cidrs->push_back(random_prefix(random));
    const std::string id = "mr-" + std::to_string(i);
    policy.ranges[id] = {id, "", cidrs, {}};
    for (unsigned parts = below(random, 3), part = 0; part < parts; part++) {
      auto held = std::make_shared<Prefixes>();
      for (unsigned n = 0, size = below(random, 10); n < size; n++) {
        const auto prefix = random_prefix(random);
        if (std::ranges::find(*cidrs, prefix) == cidrs->end()) held->push_back(prefix);
      }
      const auto until = kNow + std::chrono::seconds{static_cast<int>(below(random, 20)) - 5};
      policy.ranges[id].held_down.push_back({kNow, until, held});
    }
    ids.push_back(id);
  }
  for (unsigned i = 0, databases = 1 + below(random, 4); i < databases; i++)
    policy.databases.push_back(random_database(random, i, ids));
  return policy;
}

// The sources worth asking about: every border of every prefix, its neighbours, and a few others.
inline std::vector<Address> interesting_sources(const Policy& policy, Random& random) {
  std::vector<Address> sources = {Address{}, Address(~0u)};
  const auto add = [&](Prefix prefix) {
    for (const Address border : {prefix.first(), prefix.last()})
      for (const int step : {-1, 0, 1})
        sources.emplace_back(border.value + static_cast<std::uint32_t>(step));
    const auto first = prefix.first().value, last = prefix.last().value;
    sources.emplace_back(first +
                         static_cast<std::uint32_t>(random() % (std::uint64_t{last} - first + 1)));
  };
  for (const auto& [id, range] : policy.ranges) {
    for (const Prefix prefix : *range.cidrs) add(prefix);
    for (const auto& held : range.held_down)
      for (const Prefix prefix : *held.cidrs) add(prefix);
  }
  for (const Database& database : policy.databases) {
    for (const Rule& rule : database.rules)
      if (rule.cidr) add(*rule.cidr);
    for (const NetPeering& peering : database.peerings) add(peering.cidr);
  }
  return sources;
}

// Slots that a test can read back: owner = number of the database, slot = 60 * index + number of
// the rule.
inline SlotMap plain_slots(const Policy& policy) {
  const auto index = [&policy](std::string_view id) {
    for (std::size_t i = 0; i < policy.databases.size(); i++)
      if (policy.databases[i].id == id) return i;
    return policy.databases.size();
  };
  return {
      .owner = [index](std::string_view id) { return static_cast<std::uint8_t>(index(id) + 1); },
      .rule =
          [index, &policy](std::string_view id, std::string_view rule) {
            const Database& database = policy.databases[index(id)];
            std::size_t position = 0;
            while (position < database.rules.size() && database.rules[position].id != rule)
              position++;
            return static_cast<std::uint16_t>(index(id) * 60 + position + 1);
          }};
}

}  // namespace moat::testing
