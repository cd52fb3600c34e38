// SPDX-License-Identifier: BSD-2-Clause
#include "control/policy/hygiene.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "control/policy/coverage.h"

namespace moat {
namespace {

constexpr unsigned broad = 16;

// Whether `outer` holds all of `inner`, which may be the same.
bool holds(Prefix outer, Prefix inner) {
  return outer.length <= inner.length && outer.contains(inner.first());
}

bool lasts_as_long(const Rule& rule, const Rule& other) {
  return !rule.expires || (other.expires && *other.expires <= *rule.expires);
}

// The prefix of `rule` that holds `inner`.
std::optional<Prefix> find_holder(const Policy& policy, const Rule& rule, Prefix inner) {
  if (rule.cidr) return holds(*rule.cidr, inner) ? rule.cidr : std::nullopt;
  const auto range = policy.ranges.find(rule.managed_range);
  if (range == policy.ranges.end()) return std::nullopt;
  const auto& cidrs = *range->second.cidrs;
  const auto found =
      std::ranges::find_if(cidrs, [inner](Prefix cidr) { return holds(cidr, inner); });
  return found == cidrs.end() ? std::nullopt : std::optional(*found);
}

Fault warn(const Rule& rule, std::string message, std::string remedy) {
  return {Severity::warning, rule.place, std::move(message), rule.source(), std::move(remedy)};
}

std::optional<Fault> find_shadow(const Policy& policy, const Database& database, const Rule& rule,
                                 WallTime now) {
  for (const auto& other : database.rules) {
    if (&other == &rule || other.is_expired(now) || !lasts_as_long(other, rule)) continue;
    const auto holder = find_holder(policy, other, *rule.cidr);
    if (!holder) continue;
    const auto line = other.place.line == 0 ? "" : fmt::format(" in line {}", other.place.line);
    if (other.cidr) {
      return warn(rule, "another rule lets in all of it",
                  fmt::format("take it out, or narrow {}{}", other.source(), line));
    }
    return warn(
        rule, "a managed range lets in all of it",
        fmt::format("take it out: {}{} has {}", other.source(), line, format_prefix(*holder)));
  }
  return std::nullopt;
}

std::optional<Fault> find_breadth(const Rule& rule) {
  if (rule.cidr->length >= broad || rule.cidr->length == 0) return std::nullopt;
  const auto addresses = count_client_addresses({*rule.cidr});
  if (addresses == 0) return std::nullopt;
  return warn(rule, fmt::format("lets in {} addresses", addresses),
              "name the networks that need access");
}

}  // namespace

std::vector<RuleHint> find_hints(const Policy& policy, WallTime now) {
  std::vector<RuleHint> hints;
  for (const auto& database : policy.databases) {
    for (const auto& rule : database.rules) {
      if (!rule.cidr || rule.is_expired(now)) continue;
      if (auto shadow = find_shadow(policy, database, rule, now))
        hints.push_back({database.id, rule.id, *std::move(shadow)});
      if (auto breadth = find_breadth(rule))
        hints.push_back({database.id, rule.id, *std::move(breadth)});
    }
  }
  return hints;
}

}  // namespace moat
