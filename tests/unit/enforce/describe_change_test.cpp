// SPDX-License-Identifier: BSD-2-Clause
#include "control/enforce/describe_change.h"

#include <gtest/gtest.h>

namespace moat {
namespace {

Rule rule(const std::string& cidr) {
  Rule rule;
  rule.cidr = parse_prefix(cidr).value();
  return rule;
}

Policy with(std::vector<Rule> rules, std::uint16_t port = 5432) {
  Database database;
  database.id = "orders";
  database.endpoint.ports = {port};
  database.rules = std::move(rules);
  derive_rule_ids(database);
  Policy policy;
  policy.databases = {std::move(database)};
  return policy;
}

TEST(ChangeText, SaysWhatCameAndWent) {
  EXPECT_EQ(describe_change(with({rule("10.0.0.0/8")}), with({rule("192.0.2.0/24")})),
            "orders: added 192.0.2.0/24, removed 10.0.0.0/8");
}

TEST(ChangeText, SaysNothingOfLabelsAndOrder) {
  auto labelled = with({rule("192.0.2.0/24"), rule("10.0.0.0/8")});
  labelled.databases[0].rules[0].label = "Office";
  EXPECT_EQ(describe_change(with({rule("10.0.0.0/8"), rule("192.0.2.0/24")}), labelled),
            "orders: 192.0.2.0/24 is called \"Office\", not \"\"");
}

TEST(ChangeText, SaysWhenARuleNowEnds) {
  auto ending = rule("10.0.0.0/8");
  ending.expires = parse_time("2027-01-31T18:00:00Z").value();
  EXPECT_EQ(describe_change(with({rule("10.0.0.0/8")}), with({ending})),
            "orders: 10.0.0.0/8 until 2027-01-31T18:00:00Z");
  EXPECT_EQ(describe_change(with({ending}), with({rule("10.0.0.0/8")})),
            "orders: 10.0.0.0/8 without end");
}

TEST(ChangeText, SaysThatDatabasesComeGoAndMove) {
  EXPECT_EQ(describe_change({}, with({rule("10.0.0.0/8")})),
            "orders: guarded on port 5432, 1 rule");
  EXPECT_EQ(describe_change(with({}), {}), "orders: no longer guarded");
  EXPECT_EQ(describe_change(with({}), with({}, 5433)), "orders: port 5432 -> port 5433");
}

TEST(ChangeText, SaysWhatIsRegisteredAndWhichRuleLetsItIn) {
  auto registered = with({});
  registered.databases[0].peerings = {
      {"pcx-1", parse_prefix("10.42.0.0/16").value(), "42", "Staging", {}}};
  EXPECT_EQ(describe_change(with({}), registered),
            "orders: net peering pcx-1 (10.42.0.0/16) registered");
  EXPECT_EQ(describe_change(registered, with({})),
            "orders: net peering pcx-1 (10.42.0.0/16) no longer registered");

  Rule rule;
  rule.net_peering = "pcx-1";
  auto admitted = with({rule});
  admitted.databases[0].peerings = registered.databases[0].peerings;
  EXPECT_EQ(describe_change(registered, admitted), "orders: added pcx-1");
  EXPECT_EQ(describe_change(admitted, registered), "orders: removed pcx-1");

  auto& changed = registered.databases[0].peerings[0];
  changed = {"pcx-1", parse_prefix("10.43.0.0/16").value(), "43", "Production", {}};
  EXPECT_EQ(describe_change(admitted, registered),
            "orders: removed pcx-1, net peering pcx-1: 10.42.0.0/16 -> 10.43.0.0/16, net peering "
            "pcx-1 is of account \"43\", not \"42\", net peering pcx-1 is called "
            "\"Production\", not \"Staging\"");
}

TEST(ChangeText, SaysHowAManagedRangeGrew) {
  auto before = with({});
  auto after = before;
  const auto one = parse_prefix("10.0.0.0/8").value();
  before.ranges["mr-a"] = {"mr-a", "A", std::make_shared<const Prefixes>(Prefixes{one}), {}};
  after.ranges["mr-a"] = {"mr-a", "A", std::make_shared<const Prefixes>(Prefixes{one, one}), {}};
  EXPECT_EQ(describe_change(before, after), "managed range mr-a: 1 -> 2 CIDRs");
}

TEST(ExpiryText, NamesWhatTimeAloneHasChanged) {
  using std::chrono::seconds;
  const auto at = [](int second) { return WallTime(seconds(second)); };
  auto day = rule("10.0.0.0/8"), week = rule("192.0.2.0/24"), open = rule("203.0.113.0/24");
  day.expires = at(100);
  week.expires = at(700);
  auto policy = with({day, week, open});
  const auto two = Prefixes{*day.cidr, *week.cidr};
  policy.ranges["mr-a"] = {"mr-a", "A", std::make_shared<const Prefixes>(), {}, {}};
  policy.ranges["mr-a"].held_down = {{at(0), at(100), std::make_shared<const Prefixes>(two)}};
  EXPECT_EQ(describe_expiries(policy, at(50), at(99)), "");
  EXPECT_EQ(describe_expiries(policy, at(50), at(100)),
            "orders: 10.0.0.0/8 has expired; managed range mr-a: 2 CIDRs no longer held down");
  EXPECT_EQ(describe_expiries(policy, at(100), at(800)), "orders: 192.0.2.0/24 has expired");
  EXPECT_EQ(describe_expiries(policy, at(800), at(200)), "orders: 192.0.2.0/24 is valid again");
}

TEST(ChangeText, CountsWhatNobodyWouldRead) {
  std::vector<Rule> many;
  for (int i = 0; i < 30; i++) many.push_back(rule("10.0." + std::to_string(i) + ".0/24"));
  const auto text = describe_change(with({}), with(many));
  EXPECT_NE(text.find("and 18 more"), std::string::npos) << text;
}

}  // namespace
}  // namespace moat
