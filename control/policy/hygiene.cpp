// SPDX-License-Identifier: BSD-2-Clause
#include "control/policy/hygiene.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "control/policy/coverage.h"

namespace moat {
namespace {

constexpr unsigned broad = 16;

bool lasts_as_long(const Rule& rule, const Rule& other) {
  return !rule.expires || (other.expires && *other.expires <= *rule.expires);
}

// Of a net peering and a CIDR that are the same network, the net peering is to stay: it follows
// what is registered.
bool is_kept_beside(const Rule& rule, const Rule& other) {
  return rule.kind() == SourceKind::net_peering && other.kind() == SourceKind::cidr;
}

// The prefix of `other` that holds all of `rule`, which is `inner`.
std::optional<Prefix> find_holder(const Policy& policy, const Database& database, const Rule& rule,
                                  Prefix inner, const Rule& other) {
  const auto prefixes = prefixes_of(policy, database, other);
  const auto found = std::ranges::find_if(prefixes, [&](Prefix prefix) {
    return prefix.contains(inner) && !(prefix == inner && is_kept_beside(rule, other));
  });
  return found == prefixes.end() ? std::nullopt : std::optional(*found);
}

Fault warn(const Rule& rule, std::string message, std::string remedy) {
  return {Severity::warning, rule.place, std::move(message), rule.source(), std::move(remedy)};
}

std::optional<Fault> find_shadow(const Policy& policy, const Database& database, const Rule& rule,
                                 Prefix prefix, WallTime now) {
  for (const auto& other : database.rules) {
    if (&other == &rule || other.is_expired(now) || !lasts_as_long(other, rule)) continue;
    const auto holder = find_holder(policy, database, rule, prefix, other);
    if (!holder) continue;
    const auto line = other.place.line == 0 ? "" : fmt::format(" in line {}", other.place.line);
    if (other.cidr) {
      return warn(rule, "another rule lets in all of it",
                  fmt::format("take it out, or narrow {}{}", other.source(), line));
    }
    const bool is_range = other.kind() == SourceKind::managed_range;
    return warn(
        rule, fmt::format("a {} lets in all of it", is_range ? "managed range" : "net peering"),
        fmt::format("take it out: {}{} has {}", other.source(), line, format_prefix(*holder)));
  }
  return std::nullopt;
}

std::optional<Fault> find_breadth(const Rule& rule, Prefix prefix) {
  if (prefix.length >= broad || prefix.length == 0) return std::nullopt;
  const auto addresses = count_client_addresses({prefix});
  if (addresses == 0) return std::nullopt;
  return warn(rule, fmt::format("lets in {} addresses", addresses),
              "name the networks that need access");
}

}  // namespace

std::vector<RuleHint> find_hints(const Policy& policy, WallTime now) {
  std::vector<RuleHint> hints;
  for (const auto& database : policy.databases) {
    for (const auto& rule : database.rules) {
      if (rule.kind() == SourceKind::managed_range || rule.is_expired(now)) continue;
      for (const auto prefix : prefixes_of(policy, database, rule)) {
        if (auto shadow = find_shadow(policy, database, rule, prefix, now))
          hints.push_back({database.id, rule.id, *std::move(shadow)});
        if (auto breadth = find_breadth(rule, prefix))
          hints.push_back({database.id, rule.id, *std::move(breadth)});
      }
    }
  }
  return hints;
}

}  // namespace moat
