// SPDX-License-Identifier: BSD-2-Clause
#include "control/enforce/describe_change.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "control/policy/endpoint.h"
#include "control/resolve/hold_down.h"
#include "control/text/some_of.h"

namespace moat {
namespace {

constexpr std::size_t most = 12;  // parts of a line; beyond that they are counted

std::string expiry(const Rule& rule) {
  return rule.expires ? " until " + format_time(*rule.expires) : std::string();
}

void compare_rules(const Database& before, const Database& after, std::vector<std::string>& parts) {
  for (const auto& rule : after.rules) {
    const auto old = std::ranges::find(before.rules, rule.id, &Rule::id);
    if (old == before.rules.end()) {
      parts.push_back("added " + rule.source() + expiry(rule));
    } else if (old->source() != rule.source()) {
      parts.push_back(fmt::format("{}: {} -> {}", rule.id, old->source(), rule.source()));
    } else if (old->expires != rule.expires) {
      parts.push_back(rule.source() + (rule.expires ? expiry(rule) : " without end"));
    }
    if (old != before.rules.end() && old->label != rule.label)
      parts.push_back(
          fmt::format("{} is called \"{}\", not \"{}\"", rule.source(), rule.label, old->label));
  }
  for (const auto& rule : before.rules) {
    if (std::ranges::find(after.rules, rule.id, &Rule::id) == after.rules.end()) {
      parts.push_back("removed " + rule.source());
    }
  }
}

void compare_peerings(const Database& before, const Database& after,
                      std::vector<std::string>& parts) {
  for (const auto& peering : after.peerings) {
    const auto* old = before.find_peering(peering.id);
    if (old == nullptr) {
      parts.push_back(
          fmt::format("net peering {} ({}) registered", peering.id, format_prefix(peering.cidr)));
      continue;
    }
    if (old->cidr != peering.cidr)
      parts.push_back(fmt::format("net peering {}: {} -> {}", peering.id, format_prefix(old->cidr),
                                  format_prefix(peering.cidr)));
    if (old->account != peering.account)
      parts.push_back(fmt::format("net peering {} is of account \"{}\", not \"{}\"", peering.id,
                                  peering.account, old->account));
    if (old->label != peering.label)
      parts.push_back(fmt::format("net peering {} is called \"{}\", not \"{}\"", peering.id,
                                  peering.label, old->label));
  }
  for (const auto& peering : before.peerings) {
    if (after.find_peering(peering.id) == nullptr)
      parts.push_back(fmt::format("net peering {} ({}) no longer registered", peering.id,
                                  format_prefix(peering.cidr)));
  }
}

void compare_expectations(const Database& before, const Database& after,
                          std::vector<std::string>& parts) {
  const auto has = [](const Database& database, const Expectation& expectation) {
    return std::ranges::any_of(database.expectations,
                               [&](const auto& other) { return expectation.is_same(other); });
  };
  const auto add = [&parts](const char* verb, const Expectation& expectation) {
    parts.push_back(fmt::format("{} {} {}", verb, expectation.name(),
                                expectation.allowed ? "allowed" : "denied"));
  };
  for (const auto& expectation : after.expectations)
    if (!has(before, expectation)) add("expects", expectation);
  for (const auto& expectation : before.expectations)
    if (!has(after, expectation)) add("no longer expects", expectation);
}

void compare_databases(const Policy& before, const Policy& after, std::vector<std::string>& lines) {
  for (const auto& database : after.databases) {
    const auto* old = before.find(database.id);
    std::vector<std::string> parts;
    if (old == nullptr) {
      const auto rules = database.rules.size();
      parts.push_back(fmt::format("guarded on {}, {} {}", format_endpoint(database.endpoint), rules,
                                  rules == 1 ? "rule" : "rules"));
    } else {
      if (old->endpoint != database.endpoint) {
        parts.push_back(fmt::format("{} -> {}", format_endpoint(old->endpoint),
                                    format_endpoint(database.endpoint)));
      }
      if (before.mode_of(*old) != after.mode_of(database)) {
        parts.push_back(fmt::format("mode {}", to_string(after.mode_of(database))));
      }
      compare_rules(*old, database, parts);
      compare_peerings(*old, database, parts);
      compare_expectations(*old, database, parts);
    }
    if (!parts.empty())
      lines.push_back(fmt::format("{}: {}", database.id, some_of(parts, most, ", ")));
  }
  for (const auto& database : before.databases) {
    if (after.find(database.id) == nullptr) {
      lines.push_back(fmt::format("{}: no longer guarded", database.id));
    }
  }
}

void compare_ranges(const Policy& before, const Policy& after, std::vector<std::string>& lines) {
  for (const auto& [id, range] : after.ranges) {
    const auto old = before.ranges.find(id);
    if (old == before.ranges.end() || old->second.cidrs == range.cidrs) continue;
    if (*old->second.cidrs == *range.cidrs) continue;
    const auto held = count_held_down(range);
    lines.push_back(fmt::format("managed range {}: {} -> {} CIDRs{}", id, old->second.cidrs->size(),
                                range.cidrs->size(),
                                held == 0 ? "" : fmt::format(", {} held down", held)));
  }
}

}  // namespace

std::string describe_change(const Policy& before, const Policy& after) {
  std::vector<std::string> lines;
  compare_databases(before, after, lines);
  compare_ranges(before, after, lines);
  return some_of(lines, most, "; ");
}

std::string describe_expiries(const Policy& policy, WallTime from, WallTime to) {
  std::vector<std::string> lines;
  for (const auto& database : policy.databases) {
    std::vector<std::string> parts;
    for (const auto& rule : database.rules) {
      if (rule.is_expired(from) == rule.is_expired(to)) continue;
      parts.push_back(rule.source() + (rule.is_expired(to) ? " has expired" : " is valid again"));
    }
    if (!parts.empty())
      lines.push_back(fmt::format("{}: {}", database.id, some_of(parts, most, ", ")));
  }
  for (const auto& [id, range] : policy.ranges) {
    std::size_t over = 0;
    for (const auto& held : range.held_down)
      if (held.is_over(to) && !held.is_over(from)) over += held.cidrs->size();
    if (over != 0)
      lines.push_back(fmt::format("managed range {}: {} {} no longer held down", id, over,
                                  over == 1 ? "CIDR" : "CIDRs"));
  }
  return some_of(lines, most, "; ");
}

}  // namespace moat
