// SPDX-License-Identifier: BSD-2-Clause
#include "control/service/explain.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <tuple>

#include "control/policy/endpoint.h"

namespace moat {
namespace {

// Within this many addresses of a border a source counts as "just outside": a typing error, or a
// client whose network is a little larger than the rule.
constexpr std::uint32_t just_outside = 256;

// A prefix that some rule of the database stands for.
struct Listed {
  Prefix prefix;
  const Rule* rule = nullptr;  // never null

  [[nodiscard]] std::string name() const {
    switch (rule->kind()) {
      case SourceKind::cidr:
        return fmt::format("rule {}", rule->id);
      case SourceKind::managed_range:
        return fmt::format("rule {} (managed range {})", rule->id, rule->managed_range);
      case SourceKind::net_peering:
        return fmt::format("rule {} (net peering {})", rule->id, rule->net_peering);
    }
    return {};
  }
};

// Calls `visit` with every prefix listed, expired rules included.
template <typename Visit>
void for_each_listed(const Policy& policy, const Database& database, const Visit& visit) {
  for (const auto& rule : database.rules) {
    for (const auto prefix : prefixes_of(policy, database, rule)) visit(Listed{prefix, &rule});
  }
}

std::uint32_t distance(Prefix prefix, Address source) {
  if (prefix.contains(source)) return 0;
  return source < prefix.first() ? prefix.first().value - source.value
                                 : source.value - prefix.last().value;
}

// Of the expired rules that hold `source`, the one that expired last.
std::optional<Listed> find_expired(const Policy& policy, const Database& database, Address source,
                                   WallTime now) {
  std::optional<Listed> best;
  for_each_listed(policy, database, [&](const Listed& listed) {
    if (!listed.rule->is_expired(now) || !listed.prefix.contains(source)) return;
    if (!best || *best->rule->expires < *listed.rule->expires) best = listed;
  });
  return best;
}

// The live prefix whose border is nearest, the first of equals.
std::optional<Listed> find_nearest(const Policy& policy, const Database& database, Address source,
                                   WallTime now) {
  std::optional<Listed> best;
  for_each_listed(policy, database, [&](const Listed& listed) {
    if (listed.rule->is_expired(now)) return;
    if (!best || distance(listed.prefix, source) < distance(best->prefix, source)) best = listed;
  });
  return best;
}

// The smallest registered network that holds `source`.
const NetPeering* find_peering_of(const Database& database, Address source) {
  const NetPeering* best = nullptr;
  for (const auto& peering : database.peerings) {
    if (!peering.cidr.contains(source)) continue;
    if (best == nullptr || peering.cidr.length > best->cidr.length) best = &peering;
  }
  return best;
}

void explain_martian(WhyView& view) {
  view.reason = "martian";
  view.detail = fmt::format("{} is an impossible source address: dropped even if a rule names it",
                            view.source);
}

void explain_match(WhyView& view, const Match& match) {
  const Listed listed{match.prefix, match.rule};
  view.allowed = true;
  view.reason = "allowed";
  view.prefix = format_prefix(match.prefix);
  view.place = match.rule->place;
  view.rule = match.rule->id;
  view.rule_source = match.rule->source();
  view.label = match.rule->label;
  view.detail = fmt::format("{} is in {} of {}", view.source, view.prefix, listed.name());
  if (match.held_down_until) {
    view.held_down_until = match.held_down_until;
    view.detail += fmt::format(
        ", which has left the managed range and is held down: it stays allowed until {}",
        format_time(*match.held_down_until));
  }
  if (match.rule->expires) {
    view.detail += fmt::format(", which expires {}", format_time(*match.rule->expires));
  }
}

void explain_no_rule(WhyView& view, const Policy& policy, const Database& database, Address source,
                     WallTime now) {
  view.reason = "no-rule";
  view.place = database.place;
  if (const auto expired = find_expired(policy, database, source, now)) {
    view.place = expired->rule->place;
    view.detail = fmt::format("{} matched {} of {} until {}, when the rule expired", view.source,
                              format_prefix(expired->prefix), expired->name(),
                              format_time(*expired->rule->expires));
    return;
  }
  if (const auto* peering = find_peering_of(database, source)) {
    view.place = peering->place;
    view.detail = fmt::format(
        "{} is in net peering {}, and no rule lets it in; to do so: moat rules add --database {} "
        "--net-peering {}",
        view.source, peering->id, database.id, peering->id);
    return;
  }
  const auto nearest = find_nearest(policy, database, source, now);
  if (!nearest) {
    view.detail =
        view.monitored
            ? fmt::format("no rule of {} is in force: everybody would be dropped", database.id)
            : fmt::format("no rule of {} is in force: nobody may reach it", database.id);
    return;
  }
  if (distance(nearest->prefix, source) <= just_outside) {
    view.place = nearest->rule->place;
    view.detail = fmt::format("{} is just outside {} of {}", view.source,
                              format_prefix(nearest->prefix), nearest->name());
  } else {
    view.detail =
        fmt::format("no rule names {}; to let it in: moat rules add --database {} --cidr {}/32",
                    view.source, database.id, view.source);
  }
}

bool is_own(const OwnTraffic& own, Address source) {
  return own.is_trusted &&
         (is_loopback(source) || std::ranges::find(own.addresses, source) != own.addresses.end());
}

bool is_own(const OwnTraffic& own, const Address6& source) {
  const auto& addresses = own.ipv6_addresses;
  return own.is_trusted &&
         (is_loopback(source) || std::ranges::find(addresses, source) != addresses.end());
}

void explain_own(WhyView& view) {
  view.allowed = true;
  view.reason = "not-guarded";
  view.detail = fmt::format(
      "{} is this host's own address: what the host sends to itself comes by its loopback "
      "interface, which is trusted; from anywhere else it would be dropped",
      view.source);
}

WhyView explain_by_rules(const Policy& policy, const Database& database, Address source,
                         WallTime now, const OwnTraffic& own) {
  WhyView view;
  view.source = format_address(source);
  view.database = database.id;
  view.monitored = policy.mode_of(database) == Mode::monitor;
  view.place = database.place;
  const auto match = is_martian(source) ? std::nullopt : find_match(policy, database, source, now);
  if (match) {
    explain_match(view, *match);
  } else if (is_own(own, source)) {
    explain_own(view);
  } else if (is_martian(source)) {
    explain_martian(view);
  } else {
    explain_no_rule(view, policy, database, source, now);
  }
  return view;
}

WhyView explain_one(const Policy& policy, const Database& database, Address source, WallTime now,
                    const OwnTraffic& own) {
  auto view = explain_by_rules(policy, database, source, now, own);
  for (const auto& other : policy.databases) {
    const auto ports = ports_taken(other.endpoint, database.endpoint);
    if (ports.empty()) continue;
    const auto there = explain_by_rules(policy, other, source, now, own);
    view.elsewhere.push_back({format_endpoint({other.endpoint.address, ports}), other.id,
                              there.allowed || there.monitored});
  }
  return view;
}

bool closes_ipv6(const Database& database) { return database.endpoint.ipv6 == Ipv6::closed; }

void explain_ipv6(WhyView& view, const Policy& policy, const Database& database) {
  const auto& endpoint = database.endpoint;
  const auto closing = std::ranges::find_if(policy.databases, closes_ipv6);
  view.allowed = endpoint.all && closing == policy.databases.end();
  view.reason = view.allowed ? "not-guarded" : "ipv6";
  if (!endpoint.all) {
    view.detail =
        fmt::format("there are no IPv6 rules: TCP to {} {} is closed on IPv6",
                    endpoint.ports.size() == 1 ? "port" : "ports", fmt::join(endpoint.ports, ", "));
  } else if (!view.allowed) {
    view.detail = fmt::format("there are no IPv6 rules: `ipv6: closed`{} closes TCP on IPv6",
                              closing->id == database.id ? "" : " of database " + closing->id);
  } else {
    view.detail =
        "`ports: all` guards IPv4 alone, unless it has `ipv6: closed`: on IPv6 the host's TCP "
        "ports "
        "are open, but for those that other databases name";
  }
}

}  // namespace

std::expected<Address, Error> parse_source(const std::string& source) {
  const auto address = parse_address6(source);
  const auto mapped = address ? mapped_ipv4(*address) : std::nullopt;
  return mapped ? *mapped : parse_address(source);
}

std::optional<std::vector<WhyView>> explain_ipv6(const Policy& policy, const std::string& source,
                                                 const std::string& database,
                                                 const OwnTraffic& own) {
  const auto address = parse_address6(source);
  if (!address) return std::nullopt;
  std::vector<WhyView> views;
  for (const auto& candidate : policy.databases) {
    if (!database.empty() && candidate.id != database) continue;
    WhyView view;
    view.source = format_address(*address);
    view.database = candidate.id;
    view.monitored = policy.mode_of(candidate) == Mode::monitor;
    view.place = candidate.place;
    explain_ipv6(view, policy, candidate);
    if (is_own(own, *address) && !view.allowed) explain_own(view);
    views.push_back(std::move(view));
  }
  return views;
}

std::vector<WhyView> explain(const Policy& policy, Address source, const std::string& database,
                             WallTime now, const OwnTraffic& own) {
  std::vector<WhyView> views;
  for (const auto& candidate : policy.databases) {
    if (!database.empty() && candidate.id != database) continue;
    views.push_back(explain_one(policy, candidate, source, now, own));
  }
  return views;
}

}  // namespace moat
