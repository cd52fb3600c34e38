// SPDX-License-Identifier: BSD-2-Clause
#include "control/policy/policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "control/text/fnv1a.h"

namespace moat {
namespace {

// What ids are derived from. A managed range and a net peering may have one name.
std::string identity(const Rule& rule) {
  return (rule.kind() == SourceKind::net_peering ? "net-peering " : "") + rule.source();
}

std::string short_id(const Rule& rule) {
  std::uint32_t hash = 0x811c9dc5;  // FNV-1a of 32 bits
  for (const char c : identity(rule)) hash = (hash ^ static_cast<unsigned char>(c)) * 0x01000193;
  return fmt::format("r-{:08x}", hash);
}

std::string long_id(const Rule& rule, std::set<std::string>& taken) {
  Fnv1a source;
  source.add(identity(rule));
  for (auto hash = source.value();; ++hash) {
    auto id = fmt::format("r-{:016x}", hash);
    if (taken.insert(id).second) return id;
  }
}

constexpr std::array kinds = {SourceKind::cidr, SourceKind::managed_range, SourceKind::net_peering};

// Keeps the best match offered for each source; at equal length the one offered first.
class Best {
 public:
  explicit Best(std::span<const Address> sources) : matches_(sources.size()) {
    for (std::size_t i = 0; i < sources.size(); ++i) sources_.emplace_back(sources[i], i);
    std::ranges::sort(sources_);
  }

  void offer(const Match& match) {
    const auto last = match.prefix.last();
    auto at = std::ranges::lower_bound(sources_, match.prefix.first(), {}, &Source::first);
    for (; at != sources_.end() && at->first <= last; ++at) {
      auto& best = matches_[at->second];
      if (!best || best->prefix.length < match.prefix.length) best = match;
    }
  }

  std::vector<std::optional<Match>> take() { return std::move(matches_); }

 private:
  using Source = std::pair<Address, std::size_t>;

  std::vector<Source> sources_;  // ascending
  std::vector<std::optional<Match>> matches_;
};

}  // namespace

bool names_port(const Endpoint& endpoint, std::uint16_t port) {
  return std::ranges::find(endpoint.ports, port) != endpoint.ports.end();
}

SourceKind Rule::kind() const {
  if (cidr) return SourceKind::cidr;
  return net_peering.empty() ? SourceKind::managed_range : SourceKind::net_peering;
}

std::string Rule::source() const {
  if (cidr) return format_prefix(*cidr);
  return net_peering.empty() ? managed_range : net_peering;
}

const NetPeering* Database::find_peering(std::string_view peering) const {
  const auto found = std::ranges::find(peerings, peering, &NetPeering::id);
  return found == peerings.end() ? nullptr : &*found;
}

const Database* Policy::find(std::string_view database) const {
  const auto found = std::ranges::find(databases, database, &Database::id);
  return found == databases.end() ? nullptr : &*found;
}

std::span<const Prefix> prefixes_of(const Policy& policy, const Database& database,
                                    const Rule& rule) {
  switch (rule.kind()) {
    case SourceKind::cidr:
      return {&*rule.cidr, 1};
    case SourceKind::managed_range: {
      const auto range = policy.ranges.find(rule.managed_range);
      if (range == policy.ranges.end()) return {};
      return *range->second.cidrs;
    }
    case SourceKind::net_peering: {
      const auto* peering = database.find_peering(rule.net_peering);
      if (peering == nullptr) return {};
      return {&peering->cidr, 1};
    }
  }
  return {};
}

std::span<const HeldDown> held_down_of(const Policy& policy, const Rule& rule) {
  const auto range = policy.ranges.find(rule.managed_range);
  if (rule.kind() != SourceKind::managed_range || range == policy.ranges.end()) return {};
  return range->second.held_down;
}

const Rule* find_admitting(const Policy& policy, const Database& database,
                           const NetPeering& peering, WallTime now) {
  const auto overlaps = [&](Prefix prefix) {
    return prefix.contains(peering.cidr) || peering.cidr.contains(prefix);
  };
  for (const auto& rule : database.rules) {
    if (rule.is_expired(now)) continue;
    if (std::ranges::any_of(prefixes_of(policy, database, rule), overlaps)) return &rule;
  }
  return nullptr;
}

void derive_rule_ids(Database& database) {
  std::set<std::string> taken;
  for (const auto& rule : database.rules) taken.insert(rule.id);
  std::map<std::string, int> wanted;
  for (const auto& rule : database.rules) {
    if (rule.id.empty()) ++wanted[short_id(rule)];
  }
  for (auto& rule : database.rules) {
    if (!rule.id.empty()) continue;
    if (auto id = short_id(rule); wanted[id] == 1 && !taken.contains(id)) rule.id = std::move(id);
  }
  for (auto& rule : database.rules) {
    if (rule.id.empty()) rule.id = long_id(rule, taken);
  }
}

std::optional<Match> find_match(const Policy& policy, const Database& database, Address source,
                                WallTime now) {
  return find_matches(policy, database, std::span(&source, 1), now).front();
}

std::vector<std::optional<Match>> find_matches(const Policy& policy, const Database& database,
                                               std::span<const Address> sources, WallTime now) {
  Best best(sources);
  for (const auto kind : kinds) {  // in the order that decides a tie
    for (const auto& rule : database.rules) {
      if (rule.kind() != kind || rule.is_expired(now)) continue;
      for (const auto prefix : prefixes_of(policy, database, rule)) best.offer({&rule, prefix});
      for (const auto& held : held_down_of(policy, rule)) {
        if (held.is_over(now)) continue;
        for (const auto prefix : *held.cidrs) best.offer({&rule, prefix, held.until});
      }
    }
  }
  return best.take();
}

std::optional<WallTime> Match::ends() const {
  const auto& expires = rule->expires;
  if (!expires || !held_down_until) return expires ? expires : held_down_until;
  return std::min(*expires, *held_down_until);
}

std::string Expectation::name() const {
  const auto address = format_address(source);
  return label.empty() ? address : fmt::format("{} ({})", label, address);
}

const Database* find_guard(const Policy& policy, std::optional<Address> destination,
                           std::uint16_t port) {
  for (const auto& database : policy.databases) {
    const auto& endpoint = database.endpoint;
    if (endpoint.address == destination && names_port(endpoint, port)) return &database;
  }
  for (const auto& database : policy.databases) {
    const auto& endpoint = database.endpoint;
    if (endpoint.address == destination && endpoint.all) return &database;
  }
  for (const auto& database : policy.databases) {
    const auto& endpoint = database.endpoint;
    if (!endpoint.address && names_port(endpoint, port)) return &database;
  }
  return nullptr;
}

bool is_martian(Address source) {
  const auto first_octet = source.value >> 24;
  return first_octet == 0 || first_octet == 127 || first_octet >= 224;
}

std::string_view to_string(SourceKind kind) {
  switch (kind) {
    case SourceKind::cidr:
      return "cidr";
    case SourceKind::managed_range:
      return "managed-range";
    case SourceKind::net_peering:
      return "net-peering";
  }
  return "";
}

std::string_view to_string(Mode mode) { return mode == Mode::enforce ? "enforce" : "monitor"; }

std::expected<Mode, Error> parse_mode(std::string_view text) {
  if (text == "enforce") return Mode::enforce;
  if (text == "monitor") return Mode::monitor;
  return std::unexpected(Error{"no such mode", "write enforce or monitor"});
}

std::vector<const Database*> find_monitored(const Policy& policy) {
  std::vector<const Database*> monitored;
  for (const auto& database : policy.databases)
    if (policy.mode_of(database) == Mode::monitor) monitored.push_back(&database);
  return monitored;
}

std::string describe_monitored(const Policy& policy) {
  const auto all = policy.databases.size();
  const auto monitored = find_monitored(policy).size();
  if (monitored == 0) return "";
  if (monitored == all) return " (monitor mode: nothing is dropped)";
  return fmt::format(" (but {} of {} databases in monitor mode: nothing is dropped there)",
                     monitored, all);
}

std::string format_age(std::chrono::system_clock::duration age) {
  struct Unit {
    std::int64_t seconds;
    const char* name;
  };
  constexpr std::array units{Unit{86'400, "d"}, Unit{3'600, "h"}, Unit{60, "min"}};
  const auto seconds =
      std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::seconds>(age).count());
  for (const auto& unit : units)
    if (seconds >= 2 * unit.seconds) return fmt::format("{} {}", seconds / unit.seconds, unit.name);
  return fmt::format("{} s", seconds);
}

std::string format_time(WallTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

namespace {

// Whether `text` looks like `shape`, where 0 stands for any digit.
bool has_shape(std::string_view text, std::string_view shape) {
  return std::ranges::equal(text, shape, [](char c, char wanted) {
    return wanted == '0' ? c >= '0' && c <= '9' : c == wanted;
  });
}

Error why_no_time(std::string_view text) {
  if (has_shape(text, "0000-00-00")) {
    return {"the time of day is missing", fmt::format("write {}T00:00:00Z", text)};
  }
  return {"not a time", "write UTC as in 2027-01-31T18:00:00Z"};
}

}  // namespace

std::string format_time_ms(std::chrono::system_clock::time_point time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const auto rest = std::chrono::duration_cast<std::chrono::milliseconds>(time - seconds);
  auto text = format_time(seconds);
  text.insert(text.size() - 1, fmt::format(".{:03}", rest.count()));
  return text;
}

std::expected<WallTime, Error> parse_time(std::string_view text) {
  if (!has_shape(text, "0000-00-00T00:00:00Z")) return std::unexpected(why_no_time(text));
  const auto number = [text](std::size_t at, std::size_t digits) {
    int value = 0;
    for (const char c : text.substr(at, digits)) value = value * 10 + (c - '0');
    return value;
  };
  using namespace std::chrono;
  const year_month_day date(year(number(0, 4)), month(static_cast<unsigned>(number(5, 2))),
                            day(static_cast<unsigned>(number(8, 2))));
  const int hour = number(11, 2);
  const int minute = number(14, 2);
  const int second = number(17, 2);
  if (!date.ok() || hour > 23 || minute > 59 || second > 59) {
    return std::unexpected(Error{"no such time", "check day, month and time of day"});
  }
  return sys_days(date) + hours(hour) + minutes(minute) + seconds(second);
}

}  // namespace moat
