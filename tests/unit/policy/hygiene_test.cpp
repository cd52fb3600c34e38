// SPDX-License-Identifier: BSD-2-Clause
#include "control/policy/hygiene.h"

#include <gtest/gtest.h>

namespace moat {
namespace {

constexpr WallTime now{std::chrono::seconds(1'800'000'000)};
constexpr auto later = now + std::chrono::hours(1);
constexpr auto much_later = now + std::chrono::hours(2);

Rule cidr(std::string_view text, std::optional<WallTime> expires = std::nullopt) {
  Rule rule;
  rule.cidr = parse_prefix(text).value();
  rule.expires = expires;
  return rule;
}

Rule range(const std::string& id, std::optional<WallTime> expires = std::nullopt) {
  Rule rule;
  rule.managed_range = id;
  rule.expires = expires;
  return rule;
}

Rule peering(const std::string& id) {
  Rule rule;
  rule.net_peering = id;
  return rule;
}

// What is said of each rule: "SOURCE: MESSAGE (REMEDY)".
std::vector<std::string> hints_of(std::vector<Rule> rules) {
  Policy policy;
  Database database;
  database.id = "orders";
  database.rules = std::move(rules);
  database.peerings = {{"pcx-1", parse_prefix("10.42.0.0/16").value(), "", "", {}},
                       {"pcx-2", parse_prefix("172.16.0.0/12").value(), "", "", {}}};
  unsigned line = 4;
  for (auto& rule : database.rules) rule.place = {"orders.yaml", line++, 5};
  derive_rule_ids(database);
  policy.databases = {database};
  policy.ranges["mr-a"] = {
      "mr-a",
      "A",
      std::make_shared<const Prefixes>(Prefixes{parse_prefix("192.0.2.0/24").value()}),
      {}};
  std::vector<std::string> said;
  for (const auto& hint : find_hints(policy, now)) {
    EXPECT_EQ(hint.fault.severity, Severity::warning);
    EXPECT_EQ(hint.fault.place.file, "orders.yaml");
    said.push_back(hint.fault.value + ": " + hint.fault.message + " (" + hint.fault.remedy + ")");
  }
  return said;
}

using Said = std::vector<std::string>;

TEST(Hygiene, NamesWhatANetPeeringLetsIn) {
  EXPECT_EQ(hints_of({cidr("10.42.7.0/24"), peering("pcx-1")}),
            Said{"10.42.7.0/24: a net peering lets in all of it (take it out: pcx-1 in line 5 has "
                 "10.42.0.0/16)"});
  EXPECT_EQ(hints_of({peering("pcx-1"), cidr("10.42.0.0/16")}),
            Said{"10.42.0.0/16: a net peering lets in all of it (take it out: pcx-1 in line 4 has "
                 "10.42.0.0/16)"})
      << "one of the two stays";
  EXPECT_EQ(hints_of({peering("pcx-1"), cidr("10.42.0.0/15", later)}),
            Said{"10.42.0.0/15: lets in 131072 addresses (name the networks that need access)"})
      << "it does not last as long";
  EXPECT_EQ(
      hints_of({peering("pcx-1"), cidr("10.32.0.0/11")}).front(),
      "pcx-1: another rule lets in all of it (take it out, or narrow 10.32.0.0/11 in line 5)");
}

TEST(Hygiene, TellsHowManyAddressesANetPeeringLetsIn) {
  EXPECT_EQ(hints_of({peering("pcx-2")}),
            Said{"pcx-2: lets in 1048576 addresses (name the networks that need access)"});
}

TEST(Hygiene, NamesWhatAnotherRuleLetsIn) {
  EXPECT_EQ(hints_of({cidr("198.51.100.7/32"), cidr("198.51.100.0/24")}),
            Said{"198.51.100.7/32: another rule lets in all of it (take it out, or narrow "
                 "198.51.100.0/24 in line 5)"});
  EXPECT_EQ(hints_of({cidr("192.0.2.64/27"), range("mr-a")}),
            Said{"192.0.2.64/27: a managed range lets in all of it (take it out: mr-a in line 5 "
                 "has 192.0.2.0/24)"});
  EXPECT_EQ(hints_of({cidr("198.51.100.0/25"), cidr("198.51.100.128/25"), range("mr-a")}), Said{});
  EXPECT_EQ(hints_of({range("mr-b"), cidr("192.0.2.0/23")}), Said{});
}

TEST(Hygiene, LeavesARuleThatLastsLonger) {
  const Said shadowed{
      "198.51.100.7/32: another rule lets in all of it (take it out, or narrow 198.51.100.0/24 in "
      "line 5)"};
  const auto both = [](std::optional<WallTime> inner, std::optional<WallTime> outer) {
    return hints_of({cidr("198.51.100.7/32", inner), cidr("198.51.100.0/24", outer)});
  };
  EXPECT_EQ(both(later, std::nullopt), shadowed);
  EXPECT_EQ(both(later, much_later), shadowed);
  EXPECT_EQ(both(std::nullopt, later), Said{});
  EXPECT_EQ(both(much_later, later), Said{});
  EXPECT_EQ(both(std::nullopt, now), Said{}) << "one that has expired lets nobody in";
  EXPECT_EQ(both(now, std::nullopt), Said{}) << "of one that has expired the reader warns";
}

TEST(Hygiene, CountsWhatABroadRuleLetsIn) {
  EXPECT_EQ(hints_of({cidr("10.0.0.0/8")}),
            Said{"10.0.0.0/8: lets in 16777216 addresses (name the networks that need access)"});
  EXPECT_EQ(hints_of({cidr("10.0.0.0/15")}),
            Said{"10.0.0.0/15: lets in 131072 addresses (name the networks that need access)"});
  EXPECT_EQ(hints_of({cidr("10.0.0.0/16")}), Said{});
  EXPECT_EQ(hints_of({cidr("0.0.0.0/0")}), Said{}) << "is warned of where it is read";
}

}  // namespace
}  // namespace moat
