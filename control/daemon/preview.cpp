// SPDX-License-Identifier: BSD-2-Clause
#include "control/daemon/preview.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "control/policy/coverage.h"
#include "control/policy/guard_change.h"
#include "control/service/judge_session.h"

namespace moat {
namespace {

using namespace std::chrono_literals;

// A rule without a hit for longer is not in use.
constexpr auto in_use = 60s;
// Networks larger than a /8 are let in only by those who say that they mean it.
constexpr std::uint8_t min_length = 8;

// "port 5432 of 10.0.0.5"; without a port, all that no database of `policy` names there.
std::string describe(const GuardChange& change, const Policy& policy) {
  const auto& [address, port, before, after] = change;
  const bool is_rest = std::ranges::any_of(policy.databases, [&](const Database& database) {
    const auto& endpoint = database.endpoint;
    return !endpoint.all && (!endpoint.address || endpoint.address == address);
  });
  const auto what = port != 0 ? fmt::format("port {}", port)
                    : is_rest ? std::string("every other port")
                              : std::string("every port");
  return address ? fmt::format("{} of {}", what, format_address(*address)) : what;
}

// By what a rule lets networks in, beside their CIDRs: " (managed range mr-a)".
std::string describe_source(const Rule& rule) {
  switch (rule.kind()) {
    case SourceKind::cidr:
      return {};
    case SourceKind::managed_range:
      return fmt::format(" (managed range {})", rule.managed_range);
    case SourceKind::net_peering:
      return fmt::format(" (net peering {})", rule.net_peering);
  }
  return {};
}

// When something ends; nothing: never.
using End = std::optional<WallTime>;

bool ends_later(End end, End than) { return than && (!end || *end > *than); }

// " for good; it was to end at 2027-01-31T18:00:00Z"
std::string describe_later_end(End end, WallTime was) {
  return fmt::format("{}; it was to end at {}",
                     end ? " until " + format_time(*end) : std::string(" for good"),
                     format_time(was));
}

// The large networks that a database lets in.
struct LargeNetwork {
  std::string by;  // see describe_source()
  End end;
};
using LargeNetworks = std::map<Prefix, LargeNetwork>;

LargeNetworks large_networks(const Policy& policy, const Database& database, WallTime now) {
  LargeNetworks found;
  for (const auto& rule : database.rules) {
    if (rule.is_expired(now)) continue;
    for (const auto prefix : prefixes_of(policy, database, rule)) {
      if (prefix.length >= min_length) continue;
      const LargeNetwork network{describe_source(rule), rule.expires};
      const auto [at, is_new] = found.try_emplace(prefix, network);
      if (!is_new && ends_later(network.end, at->second.end)) at->second = network;
    }
  }
  return found;
}

// The one that lets in all of `network` for the longest; null: none does.
const LargeNetwork* find_holder(const LargeNetworks& networks, Prefix network) {
  const LargeNetwork* holder = nullptr;
  for (const auto& [prefix, each] : networks) {
    if (!prefix.contains(network)) continue;
    if (holder == nullptr || ends_later(each.end, holder->end)) holder = &each;
  }
  return holder;
}

std::uint64_t millions_in(Prefix network) {
  return (std::uint64_t{1} << (32 - network.length)) / 1'000'000;
}

// True if it names any.
bool add_large_networks(const LargeNetworks& known, const LargeNetworks& now,
                        const std::string& database, std::vector<std::string>& opens) {
  const auto first = opens.size();
  for (const auto& [network, is] : now) {
    const auto* was = find_holder(known, network);
    if (was != nullptr && !ends_later(is.end, was->end)) continue;
    const auto name = format_prefix(network);
    auto text = network.length == 0
                    ? fmt::format("{}{} lets EVERY ADDRESS in to {}", name, is.by, database)
                    : fmt::format("{}{} lets {} million addresses in to {}", name, is.by,
                                  millions_in(network), database);
    if (was != nullptr) text += describe_later_end(is.end, *was->end);
    opens.push_back(std::move(text));
  }
  return opens.size() > first;
}

// When a database whose rules let in `share` or more of all addresses lets in less.
End find_end(const Policy& policy, const Database& database, std::uint64_t share, WallTime now) {
  std::set<WallTime> ends;
  for (const auto& rule : database.rules)
    if (rule.expires && !rule.is_expired(now)) ends.insert(*rule.expires);
  for (const auto end : ends)
    if (wide_coverage(policy, database, end).value_or(0) < share) return end;
  return std::nullopt;
}

// Many networks, none of them large, can be half of all addresses together, or all of them.
void add_wide_rules(const Policy& before, const Database& old, const Policy& after,
                    const Database& database, WallTime now, std::vector<std::string>& opens) {
  const auto count = wide_coverage(after, database, now);
  if (!count) return;
  const bool is_all = count == kClientAddresses;
  const auto share = is_all ? kClientAddresses : kClientAddresses / 2;
  auto text = is_all ? fmt::format("its rules together let EVERY ADDRESS in to {}", database.id)
                     : fmt::format("its rules together let {} % of all addresses in to {}",
                                   *count * 100 / kClientAddresses, database.id);
  if (wide_coverage(before, old, now).value_or(0) >= share) {
    const auto was = find_end(before, old, share, now);
    const auto end = was ? find_end(after, database, share, now) : std::nullopt;
    if (!was || !ends_later(end, was)) return;
    text += describe_later_end(end, *was);
  }
  opens.push_back(std::move(text));
}

void add_wider_rules(const Policy& before, const Policy& after, WallTime now,
                     std::vector<std::string>& opens) {
  const Database nothing;
  for (const auto& database : after.databases) {
    const auto* found = before.find(database.id);
    const auto& old = found != nullptr ? *found : nothing;
    const auto large = large_networks(after, database, now);
    const bool is_said =
        add_large_networks(large_networks(before, old, now), large, database.id, opens);
    // Of 0.0.0.0/1 and 128.0.0.0/1, neither says that it is every address.
    const auto count = is_said ? wide_coverage(after, database, now) : std::nullopt;
    if (is_said && (count != kClientAddresses || large.contains(Prefix{}))) continue;
    add_wide_rules(before, old, after, database, now, opens);
  }
}

void add_relaxed_modes(const Policy& before, const Policy& after, std::vector<std::string>& opens) {
  for (const auto& database : after.databases) {
    const auto* old = before.find(database.id);
    if (old == nullptr || before.mode_of(*old) == Mode::monitor) continue;
    if (after.mode_of(database) == Mode::monitor)
      opens.push_back(fmt::format("in monitor mode everybody reaches {}", database.id));
  }
}

// What a port that goes to `guard` is open to there, and was not before: an end of a sentence.
std::string describe_wider(const Policy& before, const Database& old, const Policy& after,
                           const Database& guard, WallTime now) {
  const auto was = wide_coverage(before, old, now);
  const auto is = wide_coverage(after, guard, now);
  if (is == kClientAddresses && was != is) return "lets EVERY ADDRESS in";
  if (is && !was) return fmt::format("lets {} % of all addresses in", *is * 100 / kClientAddresses);
  const auto known = large_networks(before, old, now);
  for (const auto& [network, large] : large_networks(after, guard, now))
    if (find_holder(known, network) == nullptr)
      return fmt::format("lets {}{} in, {} million addresses", format_prefix(network), large.by,
                         millions_in(network));
  return {};
}

// Ports that go to another database, or to none.
void add_lost_guards(const std::vector<GuardChange>& changes, const Policy& before,
                     const Policy& after, WallTime now, std::vector<std::string>& opens) {
  std::map<std::pair<const Database*, const Database*>, std::string> wider;  // as it is dear
  for (const auto& change : changes) {
    const auto* old = change.before;
    const auto* guard = change.after;
    const auto what = fmt::format("{}, of {},", describe(change, after), old->id);
    if (guard == nullptr) {
      opens.push_back(fmt::format("{} is guarded no longer: every address reaches it", what));
      continue;
    }
    if (before.mode_of(*old) == Mode::monitor) continue;
    const auto to = fmt::format("{} goes to {}, which", what, guard->id);
    if (after.mode_of(*guard) == Mode::monitor) {
      opens.push_back(to + " is in monitor mode: every address reaches it");
      continue;
    }
    const auto [found, is_new] = wider.try_emplace({old, guard});
    if (is_new) found->second = describe_wider(before, *old, after, *guard, now);
    if (!found->second.empty()) opens.push_back(fmt::format("{} {}", to, found->second));
  }
}

// " but 5432, 6432", which databases close to IPv6 by their numbers.
std::string but_closed_ports(const Policy& policy) {
  std::set<std::uint16_t> ports;
  for (const auto& database : policy.databases) {
    if (policy.mode_of(database) == Mode::enforce)
      ports.insert(database.endpoint.ports.begin(), database.endpoint.ports.end());
  }
  return ports.empty() ? "" : fmt::format(" but {}", fmt::join(ports, ", "));
}

// Ports that IPv6 reaches. Not those of which add_lost_guards() says that every address does.
void add_ipv6_openings(const std::vector<GuardChange>& changes, const Policy& before,
                       const Policy& after, std::vector<std::string>& opens) {
  for (const auto& [port, old, guard] : find_ipv6_openings(before, after)) {
    const bool is_said = std::ranges::any_of(changes, [port](const GuardChange& change) {
      return port != 0 && change.port == port && !change.address;
    });
    if (is_said) continue;
    const auto what = port == 0 ? "IPv6 of this host" : fmt::format("IPv6 to port {}", port);
    const auto how = guard == nullptr
                         ? fmt::format("is no longer closed ({})", old->id)
                         : fmt::format("was closed by {} and goes to {}, which is in monitor mode",
                                       old->id, guard->id);
    opens.push_back(
        fmt::format("{} {}: {} is open to everybody", what, how,
                    port == 0 ? fmt::format("every TCP port{}", but_closed_ports(after)) : "it"));
  }
}

// Of `names`, those that are not among `others`.
std::vector<std::string> without(const std::vector<std::string>& names,
                                 const std::vector<std::string>& others) {
  std::vector<std::string> left;
  std::ranges::copy_if(names, std::back_inserter(left), [&](const std::string& name) {
    return std::ranges::find(others, name) == others.end();
  });
  return left;
}

void add_relaxed_settings(const Config& before, const Config& after,
                          std::vector<std::string>& opens) {
  for (const auto& name : without(before.interfaces, after.interfaces)) {
    opens.push_back(fmt::format("{} loses Moat's program: {}", name,
                                after.backstop ? "the backstop alone checks what comes by it"
                                               : "what comes by it is NOT GUARDED"));
  }
  if (before.backstop && !after.backstop) {
    opens.emplace_back(
        "the backstop goes off: what reaches a guarded port another way than by the interfaces in "
        "moat.yaml is NOT GUARDED");
  } else if (after.backstop && !after.backstop_cgroup.empty() &&
             after.backstop_cgroup != before.backstop_cgroup) {
    opens.push_back(fmt::format("the backstop is kept to the cgroup {}", after.backstop_cgroup));
  }
  for (const auto& name : without(after.trusted_interfaces, before.trusted_interfaces))
    opens.push_back(
        fmt::format("{} is trusted: the backstop does not check what comes by it", name));
  if (before.guard != 0 && after.guard == 0) {
    opens.emplace_back(
        "guard goes off: a new version of a managed range is enforced however much it changes");
  } else if (before.guard != 0 && after.guard > before.guard) {
    opens.push_back(
        fmt::format("guard rises from {} % to {} %: a new version of a managed range is enforced "
                    "though it gains or loses up to {} % of its addresses",
                    before.guard, after.guard, after.guard));
  }
  if (before.drop_sessions && !after.drop_sessions) {
    opens.emplace_back(
        "drop-sessions goes off: sessions that are no longer allowed go on as sockets, and only "
        "their packets are dropped");
  }
}

bool is_of(const RuleView& rule, const SessionView& session) {
  return rule.id == session.rule && rule.database == session.database;
}

}  // namespace

std::vector<std::string> find_openings(const Enforcement& before, const Enforcement& after,
                                       WallTime now) {
  std::vector<std::string> opens;
  const auto changes = find_guard_changes(before.policy, after.policy);
  add_lost_guards(changes, before.policy, after.policy, now, opens);
  add_ipv6_openings(changes, before.policy, after.policy, opens);
  add_wider_rules(before.policy, after.policy, now, opens);
  add_relaxed_modes(before.policy, after.policy, opens);
  add_relaxed_settings(before.config, after.config, opens);
  return opens;
}

void add_ends(const std::vector<SessionView>& sessions, const std::vector<RuleView>& rules,
              const Policy& after, WallTime now, PreviewView& preview) {
  std::map<const RuleView*, PreviewView::Rule> found;
  for (const auto& session : sessions) {
    auto then = session;
    judge_session(then, after, now);
    const bool stood = session.may_stay() || session.monitored;
    const bool ends = stood && !then.may_stay() && !then.monitored;
    if (ends) {
      preview.ends.push_back(session);
      if (session.database.empty()) preview.ends.back().database = then.database;
    }
    const auto rule =
        std::ranges::find_if(rules, [&](const RuleView& each) { return is_of(each, session); });
    if (rule == rules.end()) continue;
    auto& view = found[&*rule];
    view.sessions++;
    view.ending += ends;
  }
  const auto since = std::chrono::system_clock::now() - in_use;
  for (auto& [rule, view] : found) {
    if (view.ending == 0) continue;
    view.database = rule->database;
    view.id = rule->id;
    view.source = rule->source;
    view.label = rule->label;
    view.hits = rule->hits;
    view.last_hit = rule->last_hit;
    view.is_in_use = rule->last_hit && *rule->last_hit >= since;
    preview.rules.push_back(std::move(view));
  }
  preview.needs_yes =
      !preview.opens.empty() || std::ranges::any_of(preview.rules, &PreviewView::Rule::is_cut);
}

}  // namespace moat
