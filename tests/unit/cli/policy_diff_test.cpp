// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/policy_diff.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "control/policy/cidrs_digest.h"

namespace moat {
namespace {

Policy policy() {
  Rule rule;
  rule.id = "r-1";
  rule.cidr = parse_prefix("192.0.2.0/24").value();
  rule.label = "Office";
  Database orders;
  orders.id = "orders";
  orders.endpoint.ports = {6432, 5432};
  orders.rules = {rule};
  orders.peerings = {{"pcx-1", parse_prefix("10.42.0.0/16").value(), "42", "Staging", {}}};
  Policy result;
  result.databases = {orders};
  const Prefixes cidrs{parse_prefix("198.51.100.0/24").value()};
  result.ranges["mr-a"] = {"mr-a", "France", std::make_shared<const Prefixes>(cidrs), {}};
  return result;
}

// "+ rule orders/r-1 label: A -> B"
std::vector<std::string> differences(const PolicyItems& before, const PolicyItems& after) {
  std::vector<std::string> lines;
  for (const auto& change : diff_items(before, after)) {
    auto line = fmt::format("{} {} {}/{}", "+-~"[static_cast<int>(change.what)], change.item.kind,
                            change.item.database, change.item.id);
    for (const auto& [name, old_value, new_value] : change.fields) {
      line += fmt::format(" {}: {} -> {}", name, old_value, new_value);
    }
    lines.push_back(line);
  }
  return lines;
}

using Lines = std::vector<std::string>;

TEST(PolicyDiff, TellsWhatIsExpectedOtherwise) {
  auto after = policy();
  after.databases[0].expectations = {{true, parse_address("10.0.3.7").value(), "standby", {}}};
  EXPECT_EQ(differences(policy_items(policy()), policy_items(after)),
            (Lines{"~ database /orders expect:  -> allow 10.0.3.7 (standby)"}));
  Config off;
  off.guard = 0;
  off.hold_down = std::chrono::milliseconds(0);
  EXPECT_EQ(differences({config_item({})}, {config_item(off)}),
            (Lines{"~ moat.yaml / guard: 50% -> off hold-down: 3600000ms -> 0ms"}));
}

TEST(PolicyDiff, FindsNoneBetweenViewsAndTheirPolicy) {
  DatabaseView database;
  database.id = "orders";
  database.endpoint.ports = {5432, 6432};  // in another order
  RuleView rule;
  rule.database = "orders";
  rule.id = "r-1";
  rule.type = "cidr";
  rule.source = "192.0.2.0/24";
  rule.label = "Office";
  NetPeeringView peering;
  peering.database = "orders";
  peering.id = "pcx-1";
  peering.cidr = "10.42.0.0/16";
  peering.account = "42";
  peering.label = "Staging";
  ManagedRangeView range;
  range.id = "mr-a";
  range.name = "France";
  range.digest = cidrs_digest(*policy().ranges.at("mr-a").cidrs);
  EXPECT_EQ(
      differences(policy_items({database}, {rule}, {peering}, {range}), policy_items(policy())),
      Lines{});
}

TEST(PolicyDiff, FindsAllThatIsAddedOrRemoved) {
  const auto items = policy_items(policy());
  EXPECT_EQ(differences({}, items), (Lines{"+ database /orders", "+ rule orders/r-1",
                                           "+ net-peering orders/pcx-1", "+ managed-range /mr-a"}));
  EXPECT_EQ(differences(items, {}), (Lines{"- database /orders", "- rule orders/r-1",
                                           "- net-peering orders/pcx-1", "- managed-range /mr-a"}));
}

TEST(PolicyDiff, FindsEachFieldThatChanges) {
  auto after = policy();
  auto& orders = after.databases[0];
  orders.mode = Mode::monitor;
  orders.endpoint.ports = {5432};
  orders.rules[0].label = "Home";
  orders.rules[0].expires = parse_time("2027-01-31T18:00:00Z").value();
  orders.peerings[0] = {"pcx-1", parse_prefix("10.43.0.0/16").value(), "42", "Old", {}};
  EXPECT_EQ(
      differences(policy_items(policy()), policy_items(after)),
      (Lines{
          "~ database /orders endpoint: ports 5432, 6432 -> port 5432 mode: enforce -> "
          "monitor",
          "~ rule orders/r-1 label: Office -> Home expires: never -> "
          "2027-01-31T18:00:00Z",
          "~ net-peering orders/pcx-1 cidr: 10.42.0.0/16 -> 10.43.0.0/16 label: Staging -> Old"}));
}

TEST(PolicyDiff, TellsCidrsApartByWhatTheySay) {
  const auto prefix = [](std::string_view text) { return parse_prefix(text).value(); };
  const Prefixes once{prefix("10.0.0.0/8"), prefix("192.0.2.0/24")};
  const Prefixes again{prefix("192.0.2.0/24"), prefix("10.0.0.0/8"), prefix("192.0.2.0/24")};
  const Prefixes other{prefix("10.0.0.0/9"), prefix("192.0.2.0/24")};
  EXPECT_EQ(cidrs_digest(once), cidrs_digest(again));
  EXPECT_NE(cidrs_digest(once), cidrs_digest(other));
  EXPECT_EQ(cidrs_digest(once).size(), 16);
}

TEST(PolicyDiff, TellsRulesOfTwoDatabasesApart) {
  auto both = policy();
  both.databases.push_back(both.databases[0]);
  both.databases[1].id = "bills";
  EXPECT_EQ(differences(policy_items(policy()), policy_items(both)),
            (Lines{"+ database /bills", "+ rule bills/r-1", "+ net-peering bills/pcx-1"}));
}

}  // namespace
}  // namespace moat
