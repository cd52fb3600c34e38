// SPDX-License-Identifier: BSD-2-Clause
#include "bench/inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>

namespace moat::bench {
namespace {

using Random = std::mt19937_64;
constexpr const char* kWorldFile = "/usr/share/tor/geoip";
constexpr std::size_t kCidrRules = 22, kManagedRanges = 8;

[[noreturn]] void give_up(const std::string& why) {
  fmt::print(stderr, "bench: {}\n", why);
  std::exit(1);
}

std::uint32_t random_unicast(Random& random) {
  for (;;) {
    const auto address = static_cast<std::uint32_t>(random());
    if (!is_martian(Address(address))) return address;
  }
}

// Per mille of prefixes of each length: few are wide, as in tables of providers.
std::uint8_t random_length(Random& random) {
  static constexpr struct {
    std::uint8_t length;
    unsigned share;
  } kLengths[] = {{16, 5}, {18, 10}, {20, 40}, {22, 100}, {23, 80}, {24, 600}, {28, 65}, {32, 100}};
  auto draw = static_cast<unsigned>(random() % 1000);
  for (const auto& [length, share] : kLengths) {
    if (draw < share) return length;
    draw -= share;
  }
  return 32;
}

void keep_disjoint(Prefixes& prefixes) {
  std::sort(prefixes.begin(), prefixes.end());
  std::size_t kept = 0;
  for (const Prefix prefix : prefixes)
    if (kept == 0 || prefixes[kept - 1].last() < prefix.first()) prefixes[kept++] = prefix;
  prefixes.resize(kept);
}

Prefixes random_prefixes(Shape shape, std::size_t count) {
  Random random(count);
  Prefixes prefixes;
  while (prefixes.size() < count) {
    while (prefixes.size() < count + count / 8) {
      const std::uint8_t length = shape == Shape::scattered ? 32 : random_length(random);
      prefixes.push_back(Prefix::of(Address(random_unicast(random)), length));
    }
    keep_disjoint(prefixes);
  }
  std::shuffle(prefixes.begin(), prefixes.end(), random);  // or the last addresses would be cut off
  prefixes.resize(count);
  std::sort(prefixes.begin(), prefixes.end());
  return prefixes;
}

void add_range(Prefixes& to, std::uint64_t first, std::uint64_t last) {
  while (first <= last) {
    std::uint8_t length = 32;
    while (length > 0) {
      const std::uint64_t size = std::uint64_t{2} << (32 - length);
      if (first % size != 0 || first + size - 1 > last) break;
      length--;
    }
    to.push_back({Address(static_cast<std::uint32_t>(first)), length});
    first += std::uint64_t{1} << (32 - length);
  }
}

Prefixes world_prefixes(std::size_t count) {
  std::ifstream file(kWorldFile);
  Prefixes prefixes;
  for (std::string line; std::getline(file, line) && prefixes.size() < count;) {
    unsigned long first = 0, last = 0;
    if (std::sscanf(line.c_str(), "%lu,%lu", &first, &last) == 2) add_range(prefixes, first, last);
  }
  keep_disjoint(prefixes);
  if (prefixes.size() > count) prefixes.resize(count);
  return prefixes;
}

std::string range_id(std::size_t number) { return fmt::format("mr-{}", number); }

// Whether database `d` allows rule `i`: the first one everything, the others about half.
bool is_allowed(std::size_t d, std::size_t i) {
  return d == 0 || (((d * 0x9e3779b97f4a7c15u) ^ (i * 0xc2b2ae3d27d4eb4fu)) >> 40 & 1) != 0;
}

Database make_database(std::size_t number, bool is_only, std::span<const Prefix> cidrs,
                       std::size_t ranges) {
  Database database;
  database.id = fmt::format("db{:02}", number);
  database.endpoint.ports = {static_cast<std::uint16_t>(5432 + number)};
  if (!is_only)
    database.endpoint.address = Address(0xc0000201 + static_cast<std::uint32_t>(number));
  for (std::size_t i = 0; i < cidrs.size(); i++) {
    Rule rule;
    rule.cidr = cidrs[i];
    if (is_allowed(number, i)) database.rules.push_back(rule);
  }
  for (std::size_t i = 0; i < ranges; i++) {
    Rule rule;
    rule.managed_range = range_id(i);
    if (is_allowed(number, cidrs.size() + i)) database.rules.push_back(rule);
  }
  derive_rule_ids(database);
  return database;
}

}  // namespace

const char* to_string(Shape shape) {
  static constexpr const char* names[] = {"mixed", "scattered", "world"};
  return names[static_cast<int>(shape)];
}

const char* to_string(Pattern pattern) {
  static constexpr const char* names[] = {"random", "sequential", "single"};
  return names[static_cast<int>(pattern)];
}

Prefixes make_prefixes(Shape shape, std::size_t count) {
  return shape == Shape::world ? world_prefixes(count) : random_prefixes(shape, count);
}

Policy make_policy(std::span<const Prefix> prefixes, std::size_t databases) {
  Policy policy;
  // The rules' own prefixes are taken evenly from the whole.
  const bool has_ranges = prefixes.size() > MOAT_MAX_RULES;
  const std::size_t step = has_ranges ? prefixes.size() / kCidrRules : 1;
  std::vector<Prefix> cidrs;
  std::array<std::shared_ptr<Prefixes>, kManagedRanges> ranges;
  for (auto& range : ranges) range = std::make_shared<Prefixes>();
  for (std::size_t i = 0; i < prefixes.size(); i++)
    if (i % step == 0 && cidrs.size() < (has_ranges ? kCidrRules : MOAT_MAX_RULES))
      cidrs.push_back(prefixes[i]);
    else
      ranges[i / 64 % kManagedRanges]->push_back(prefixes[i]);
  if (has_ranges)
    for (std::size_t i = 0; i < kManagedRanges; i++)
      policy.ranges[range_id(i)] = {range_id(i), "", ranges[i], {}};
  for (std::size_t d = 0; d < databases; d++)
    policy.databases.push_back(
        make_database(d, databases == 1, cidrs, has_ranges ? kManagedRanges : 0));
  return policy;
}

SlotMap make_slots(const Policy& policy) {
  const auto index = [&policy](std::string_view id) {
    const auto at = std::find_if(policy.databases.begin(), policy.databases.end(),
                                 [id](const Database& database) { return database.id == id; });
    return static_cast<std::size_t>(at - policy.databases.begin());
  };
  return {
      .owner = [index](std::string_view id) { return static_cast<std::uint8_t>(index(id) + 1); },
      .rule =
          [index, &policy](std::string_view id, std::string_view rule) {
            const auto& rules = policy.databases[index(id)].rules;
            const auto at = std::find_if(rules.begin(), rules.end(),
                                         [rule](const Rule& known) { return known.id == rule; });
            return static_cast<std::uint16_t>(index(id) * MOAT_MAX_RULES + (at - rules.begin()) +
                                              1);
          }};
}

Table build_policy_table(const Policy& policy) {
  const ClockPair clock{std::chrono::sys_seconds{std::chrono::seconds{1'800'000'000}}, 1};
  auto table = compile(policy, make_slots(policy), clock, 1);
  if (!table) give_up(table.error().message);
  return *table;
}

std::vector<std::uint32_t> make_keys(std::span<const Prefix> prefixes, std::size_t count,
                                     unsigned hit_percent, Pattern pattern) {
  Random random(prefixes.size() + hit_percent);
  const auto is_listed = [prefixes](std::uint32_t source) {
    const auto after = std::upper_bound(
        prefixes.begin(), prefixes.end(), source,
        [](std::uint32_t address, Prefix prefix) { return address < prefix.address.value; });
    return after != prefixes.begin() && std::prev(after)->contains(Address(source));
  };
  const auto draw = [&] {
    const bool is_hit = random() % 100 < hit_percent;
    for (;;) {
      const Prefix& prefix = prefixes[random() % prefixes.size()];
      const std::uint32_t source =
          is_hit ? prefix.address.value |
                       (static_cast<std::uint32_t>(random()) & ~Prefix::mask(prefix.length))
                 : random_unicast(random);
      if (!is_martian(Address(source)) && is_listed(source) == is_hit) return source;
    }
  };
  std::vector<std::uint32_t> keys(count);
  if (pattern == Pattern::single)
    std::fill(keys.begin(), keys.end(), draw());
  else
    std::generate(keys.begin(), keys.end(), draw);
  if (pattern == Pattern::sequential) std::sort(keys.begin(), keys.end());
  return keys;
}

Frame make_frame(std::uint32_t source) {
  Frame frame = {
      0x02, 0, 0,    0,    0,    2,    0x02,      0,          0,  0, 0, 1, 0x08, 0x00,  // Ethernet
      0x45, 0, 0,    46,   0,    0,    0x40,      0,          64, 6, 0, 0, 0,    0,
      0,    0,                                                                       // IPv4
      192,  0, 2,    1,    0xc0, 0x00, 5432 >> 8, 5432 & 255, 0,  0, 0, 1, 0,    0,  // TCP
      0,    0, 0x50, 0x02, 0xff, 0xff};
  for (unsigned i = 0; i < 4; i++)
    frame[26 + i] = static_cast<std::uint8_t>(source >> (24 - i * 8));
  return frame;
}

}  // namespace moat::bench
