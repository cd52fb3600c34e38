// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/policy_diff.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include "control/policy/cidrs_digest.h"
#include "control/policy/endpoint.h"
#include "control/service/json.h"
#include "control/service/settings_text.h"

namespace moat {
namespace {

constexpr std::array<std::string_view, 5> kinds{"moat.yaml", "database", "rule", "net-peering",
                                                "managed-range"};

// "allow 10.0.3.7 (standby), deny 203.0.113.9", whatever the order in the file.
template <typename Expectations>
std::string describe_expectations(const Expectations& expectations) {
  std::vector<std::string> all;
  for (const auto& expected : expectations) {
    all.push_back(fmt::format("{} {}{}", expected.allowed ? "allow" : "deny",
                              format_address(expected.source),
                              expected.label.empty() ? "" : fmt::format(" ({})", expected.label)));
  }
  std::ranges::sort(all);
  return fmt::format("{}", fmt::join(all, ", "));
}

PolicyItem database_item(const std::string& id, const Endpoint& endpoint, Mode mode,
                         std::string expectations) {
  auto sorted = endpoint;
  std::ranges::sort(sorted.ports);
  return {"database",
          "",
          id,
          {{"endpoint", format_endpoint(sorted)},
           {"mode", std::string(to_string(mode))},
           {"expect", std::move(expectations)}}};
}

PolicyItem rule_item(const std::string& database, const std::string& id, const std::string& source,
                     const std::string& label, const std::optional<WallTime>& expires) {
  return {"rule",
          database,
          id,
          {{"source", source},
           {"label", label},
           {"expires", expires ? format_time(*expires) : "never"}}};
}

PolicyItem peering_item(const std::string& database, const std::string& id, const std::string& cidr,
                        const std::string& account, const std::string& label) {
  return {"net-peering", database, id, {{"cidr", cidr}, {"account", account}, {"label", label}}};
}

PolicyItem range_item(const std::string& id, const std::string& name, const std::string& digest) {
  return {"managed-range", "", id, {{"name", name}, {"cidrs", digest}}};
}

using Key = std::tuple<std::size_t, std::string, std::string>;

std::map<Key, const PolicyItem*> by_key(const PolicyItems& items) {
  std::map<Key, const PolicyItem*> keyed;
  for (const auto& item : items) {
    const auto kind = std::ranges::find(kinds, item.kind) - kinds.begin();
    keyed.emplace(Key{kind, item.database, item.id}, &item);
  }
  return keyed;
}

std::vector<PolicyChange::Field> diff_fields(const PolicyItem& before, const PolicyItem& after) {
  std::vector<PolicyChange::Field> changed;
  for (std::size_t i = 0; i < after.fields.size(); ++i) {
    const auto& [name, value] = after.fields[i];
    if (before.fields[i].second != value) changed.push_back({name, before.fields[i].second, value});
  }
  return changed;
}

}  // namespace

PolicyItem config_item(const Config& config) {
  return {"moat.yaml", "", "", settings_fields(config)};
}

PolicyItems policy_items(const Policy& policy) {
  PolicyItems items;
  for (const auto& database : policy.databases) {
    items.push_back(database_item(database.id, database.endpoint, policy.mode_of(database),
                                  describe_expectations(database.expectations)));
    for (const auto& rule : database.rules) {
      items.push_back(rule_item(database.id, rule.id, rule.source(), rule.label, rule.expires));
    }
    for (const auto& peering : database.peerings) {
      items.push_back(peering_item(database.id, peering.id, format_prefix(peering.cidr),
                                   peering.account, peering.label));
    }
  }
  for (const auto& [id, range] : policy.ranges) {
    items.push_back(range_item(id, range.name, cidrs_digest(*range.cidrs)));
  }
  return items;
}

PolicyItems policy_items(const std::vector<DatabaseView>& databases,
                         const std::vector<RuleView>& rules,
                         const std::vector<NetPeeringView>& peerings,
                         const std::vector<ManagedRangeView>& ranges) {
  PolicyItems items;
  for (const auto& database : databases) {
    items.push_back(database_item(database.id, database.endpoint, database.mode,
                                  describe_expectations(database.expectations)));
  }
  for (const auto& rule : rules) {
    items.push_back(rule_item(rule.database, rule.id, rule.source, rule.label, rule.expires));
  }
  for (const auto& peering : peerings) {
    items.push_back(
        peering_item(peering.database, peering.id, peering.cidr, peering.account, peering.label));
  }
  for (const auto& range : ranges) items.push_back(range_item(range.id, range.name, range.digest));
  return items;
}

std::vector<PolicyChange> diff_items(const PolicyItems& before, const PolicyItems& after) {
  const auto old_items = by_key(before);
  const auto new_items = by_key(after);
  std::map<Key, PolicyChange> changes;
  for (const auto& [key, item] : old_items) {
    if (!new_items.contains(key)) changes[key] = {PolicyChange::What::removed, *item, {}};
  }
  for (const auto& [key, item] : new_items) {
    const auto old = old_items.find(key);
    if (old == old_items.end()) {
      changes[key] = {PolicyChange::What::added, *item, {}};
    } else if (auto fields = diff_fields(*old->second, *item); !fields.empty()) {
      changes[key] = {PolicyChange::What::changed, *item, std::move(fields)};
    }
  }
  std::vector<PolicyChange> ordered;
  ordered.reserve(changes.size());
  for (auto& [key, change] : changes) ordered.push_back(std::move(change));
  return ordered;
}

}  // namespace moat
