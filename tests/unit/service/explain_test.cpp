// SPDX-License-Identifier: BSD-2-Clause
#include "control/service/explain.h"

#include <gtest/gtest.h>

namespace moat {
namespace {

Prefix prefix(std::string_view text) { return parse_prefix(text).value(); }
WallTime time_at(std::string_view text) { return parse_time(text).value(); }

const WallTime now = time_at("2026-06-01T00:00:00Z");

Rule rule(std::string id, std::string_view cidr, unsigned line) {
  Rule result;
  result.id = std::move(id);
  result.cidr = prefix(cidr);
  result.place = {"orders.yaml", line, 5};
  return result;
}

Rule expiring(std::string id, std::string_view cidr, unsigned line, std::string_view expires) {
  auto result = rule(std::move(id), cidr, line);
  result.expires = time_at(expires);
  return result;
}

// One database, orders, with these rules.
Policy policy_of(std::vector<Rule> rules) {
  Database orders;
  orders.id = "orders";
  orders.endpoint.ports = {5432};
  orders.rules = std::move(rules);
  orders.place = {"orders.yaml", 1, 1};
  Policy policy;
  policy.databases = {orders};
  return policy;
}

WhyView ask(const Policy& policy, std::string_view source) {
  const auto views = explain(policy, parse_address(source).value(), "orders", now);
  return views.size() == 1 ? views.front() : WhyView{};
}

TEST(Why, NamesTheRuleThatMatches) {
  auto policy = policy_of({rule("r-office", "192.0.2.64/29", 4)});
  policy.databases[0].rules[0].label = "Office";
  const auto why = ask(policy, "192.0.2.71");
  EXPECT_TRUE(why.allowed);
  EXPECT_EQ(why.reason, "allowed");
  EXPECT_EQ(why.rule, "r-office");
  EXPECT_EQ(why.rule_source, "192.0.2.64/29");
  EXPECT_EQ(why.prefix, "192.0.2.64/29");
  EXPECT_EQ(why.label, "Office");
  EXPECT_EQ(why.place, (Place{"orders.yaml", 4, 5}));
  EXPECT_EQ(why.detail, "192.0.2.71 is in 192.0.2.64/29 of rule r-office");
}

TEST(Why, SaysWhenTheRuleThatMatchesWillExpire) {
  const auto policy = policy_of({expiring("r-a", "192.0.2.0/24", 4, "2027-01-31T18:00:00Z")});
  EXPECT_EQ(ask(policy, "192.0.2.1").detail,
            "192.0.2.1 is in 192.0.2.0/24 of rule r-a, which expires 2027-01-31T18:00:00Z");
}

TEST(Why, NamesTheManagedRangeAndItsCidr) {
  auto policy = policy_of({});
  Rule range_rule;
  range_rule.id = "r-range";
  range_rule.managed_range = "mr-a";
  policy.databases[0].rules = {range_rule};
  policy.ranges["mr-a"] = {
      "mr-a", "", std::make_shared<const Prefixes>(Prefixes{prefix("198.51.100.0/25")}), {}};
  const auto why = ask(policy, "198.51.100.1");
  EXPECT_EQ(why.rule, "r-range");
  EXPECT_EQ(why.rule_source, "mr-a");
  EXPECT_EQ(why.prefix, "198.51.100.0/25");
  EXPECT_EQ(why.detail, "198.51.100.1 is in 198.51.100.0/25 of rule r-range (managed range mr-a)");
}

TEST(Why, NamesTheNetPeering) {
  auto policy = policy_of({});
  policy.databases[0].peerings = {{"pcx-1", prefix("10.42.0.0/16"), "", "", {"orders.yaml", 9, 5}}};
  const auto before = ask(policy, "10.42.1.1");
  EXPECT_FALSE(before.allowed) << "registered, and no rule";
  EXPECT_EQ(before.place.line, 9);
  EXPECT_EQ(before.detail,
            "10.42.1.1 is in net peering pcx-1, and no rule lets it in; to do so: moat rules add "
            "--database orders --net-peering pcx-1");

  Rule peers;
  peers.id = "r-peers";
  peers.net_peering = "pcx-1";
  peers.label = "Staging";
  peers.place = {"orders.yaml", 4, 5};
  policy.databases[0].rules = {peers};
  const auto why = ask(policy, "10.42.1.1");
  EXPECT_TRUE(why.allowed);
  EXPECT_EQ(why.rule, "r-peers");
  EXPECT_EQ(why.rule_source, "pcx-1");
  EXPECT_EQ(why.label, "Staging");
  EXPECT_EQ(why.prefix, "10.42.0.0/16");
  EXPECT_EQ(why.place.line, 4);
  EXPECT_EQ(why.detail, "10.42.1.1 is in 10.42.0.0/16 of rule r-peers (net peering pcx-1)");
}

TEST(Why, SaysJustOutsideOnBothSidesOfAPrefix) {
  const auto policy =
      policy_of({rule("r-near", "192.0.2.64/29", 4), rule("r-far", "10.0.0.0/8", 6)});
  for (const auto* source : {"192.0.2.63", "192.0.2.72"}) {
    const auto why = ask(policy, source);
    EXPECT_FALSE(why.allowed);
    EXPECT_EQ(why.reason, "no-rule");
    EXPECT_EQ(why.rule, "");
    EXPECT_EQ(why.detail, std::string(source) + " is just outside 192.0.2.64/29 of rule r-near");
    EXPECT_EQ(why.place, (Place{"orders.yaml", 4, 5}));
  }
}

TEST(Why, SaysHowToLetInWhomNoRuleNames) {
  const auto policy = policy_of({rule("r-a", "192.0.2.0/24", 4)});
  EXPECT_EQ(ask(policy, "192.0.4.0").detail,
            "no rule names 192.0.4.0; to let it in: moat rules add --database orders --cidr "
            "192.0.4.0/32");
}

TEST(Why, SaysUntilWhenAnExpiredRuleMatched) {
  const auto policy = policy_of({expiring("r-old", "192.0.2.0/24", 4, "2025-01-01T00:00:00Z"),
                                 expiring("r-late", "192.0.0.0/16", 6, "2026-01-01T00:00:00Z"),
                                 rule("r-near", "192.0.3.0/24", 8)});
  const auto why = ask(policy, "192.0.2.255");
  EXPECT_FALSE(why.allowed);
  EXPECT_EQ(why.detail,
            "192.0.2.255 matched 192.0.0.0/16 of rule r-late until 2026-01-01T00:00:00Z, when the "
            "rule expired");
  EXPECT_EQ(why.place.line, 6);
}

TEST(Why, NeverCallsAnExpiredRuleTheNearest) {
  const auto policy = policy_of({expiring("r-old", "192.0.2.0/24", 4, "2025-01-01T00:00:00Z"),
                                 rule("r-live", "192.0.3.2/32", 6)});
  EXPECT_EQ(ask(policy, "192.0.3.0").place.line, 6);
}

TEST(Why, SaysWhatBecomesOfIpv6) {
  auto policy = policy_of({rule("r-all", "0.0.0.0/0", 4)});
  policy.databases[0].endpoint = {std::nullopt, {5432, 6432}, false, std::nullopt};
  const auto ask6 = [&](const char* source) { return explain_ipv6(policy, source, "").value(); };
  auto why = ask6("2001:DB8::0:1").at(0);
  EXPECT_EQ(why.source, "2001:db8::1");
  EXPECT_FALSE(why.allowed);
  EXPECT_EQ(why.reason, "ipv6");
  EXPECT_EQ(why.detail, "there are no IPv6 rules: TCP to ports 5432, 6432 is closed on IPv6");

  policy.databases[0].endpoint = {Address(0x0a000005), {}, true, std::nullopt};
  EXPECT_TRUE(ask6("2001:db8::1").at(0).allowed);
  EXPECT_EQ(ask6("2001:db8::1").at(0).reason, "not-guarded");
  policy.databases[0].endpoint.ipv6 = Ipv6::open;
  EXPECT_TRUE(ask6("2001:db8::1").at(0).allowed);
  policy.databases[0].endpoint.ipv6 = Ipv6::closed;
  why = ask6("2001:db8::1").at(0);
  EXPECT_FALSE(why.allowed);
  EXPECT_EQ(why.detail, "there are no IPv6 rules: `ipv6: closed` closes TCP on IPv6");

  Database open;
  open.id = "open";
  open.endpoint = {Address(0x0a000006), {}, true, std::nullopt};
  policy.databases.push_back(open);
  EXPECT_EQ(ask6("2001:db8::1").at(1).detail,
            "there are no IPv6 rules: `ipv6: closed` of database orders closes TCP on IPv6");
  EXPECT_EQ(explain_ipv6(policy, "::1", "open")->size(), 1);
  EXPECT_FALSE(explain_ipv6(policy, "192.0.2.1", ""));
  EXPECT_FALSE(explain_ipv6(policy, "2001:db8::g", ""));
}

TEST(Why, SaysThatNobodyIsAllowedWithoutRules) {
  const auto why = ask(policy_of({}), "192.0.2.1");
  EXPECT_EQ(why.detail, "no rule of orders is in force: nobody may reach it");
  EXPECT_EQ(why.place.line, 1);
}

TEST(Why, RefusesAMartianThoughARuleListsIt) {
  const auto why = ask(policy_of({rule("r-all", "0.0.0.0/0", 4)}), "127.0.0.1");
  EXPECT_FALSE(why.allowed);
  EXPECT_EQ(why.reason, "martian");
}

TEST(Why, SaysThatTheHostReachesItself) {
  const auto policy = policy_of({rule("r-office", "192.0.2.64/29", 4)});
  const auto ask_with = [&](const OwnTraffic& own, const char* source) {
    return explain(policy, parse_source(source).value(), "", now, own).at(0);
  };
  const OwnTraffic own{
      true, {parse_address("198.51.100.5").value()}, {parse_address6("fd00::5").value()}};
  for (const auto* source : {"127.0.0.1", "127.9.9.9", "198.51.100.5", "::ffff:198.51.100.5"}) {
    const auto why = ask_with(own, source);
    EXPECT_TRUE(why.allowed) << source;
    EXPECT_EQ(why.reason, "not-guarded") << source;
    EXPECT_TRUE(why.detail.contains("own address")) << why.detail;
  }
  EXPECT_FALSE(ask_with(own, "198.51.100.6").allowed);
  auto untrusted = own;
  untrusted.is_trusted = false;
  EXPECT_EQ(ask_with(untrusted, "127.0.0.1").reason, "martian");
  EXPECT_EQ(ask_with(untrusted, "198.51.100.5").reason, "no-rule");

  for (const auto* source : {"::1", "fd00::5", "FD00:0::5"}) {
    EXPECT_TRUE(explain_ipv6(policy, source, "", own)->at(0).allowed) << source;
    EXPECT_FALSE(explain_ipv6(policy, source, "", untrusted)->at(0).allowed) << source;
  }
  EXPECT_FALSE(explain_ipv6(policy, "fd00::6", "", own)->at(0).allowed);
}

TEST(Why, NamesTheHostsOwnAddressByTheRuleThatListsIt) {
  const auto policy = policy_of({rule("r-self", "198.51.100.5/32", 4)});
  const OwnTraffic own{true, {parse_address("198.51.100.5").value()}, {}};
  EXPECT_EQ(explain(policy, own.addresses[0], "", now, own).at(0).rule, "r-self");
}

TEST(Why, NamesTheDatabaseThatDecidesAtAnAddress) {
  auto policy = policy_of({rule("r-office", "192.0.2.64/29", 4)});
  policy.databases[0].endpoint.ports = {5432, 6432};
  Database near;
  near.id = "near";
  near.endpoint = {parse_address("198.51.100.5").value(), {6432}, false, std::nullopt};
  policy.databases.push_back(near);
  const auto elsewhere = [&](std::string_view source) {
    return explain(policy, parse_address(source).value(), "orders", now).at(0).elsewhere;
  };
  ASSERT_EQ(elsewhere("192.0.2.71").size(), 1);
  EXPECT_EQ(elsewhere("192.0.2.71")[0].endpoint, "port 6432 of 198.51.100.5");
  EXPECT_EQ(elsewhere("192.0.2.71")[0].database, "near");
  EXPECT_FALSE(elsewhere("192.0.2.71")[0].allowed);
  policy.databases[1].rules = {rule("r-near", "192.0.2.71/32", 4)};
  EXPECT_TRUE(elsewhere("192.0.2.71")[0].allowed);
  policy.databases[1].endpoint.ports = {9999};
  EXPECT_TRUE(elsewhere("192.0.2.71").empty());
  EXPECT_TRUE(explain(policy, Address{1}, "near", now).at(0).elsewhere.empty());
}

TEST(Why, TakesAnIpv4AddressAsADualStackSocketShowsIt) {
  EXPECT_EQ(parse_source("::ffff:192.0.2.71").value(), parse_address("192.0.2.71").value());
  EXPECT_EQ(parse_source("::FFFF:c000:0247").value(), parse_address("192.0.2.71").value());
  EXPECT_EQ(parse_source("192.0.2.71").value(), parse_address("192.0.2.71").value());
  for (const auto* none : {"::192.0.2.71", "2001:db8::1", "192.0.2", "::ffff:192.0.2"})
    EXPECT_FALSE(parse_source(none)) << none;
}

TEST(Why, SaysWhereADropWouldPass) {
  auto policy = policy_of({});
  EXPECT_FALSE(ask(policy, "192.0.2.1").monitored);
  policy.databases[0].mode = Mode::monitor;
  EXPECT_TRUE(ask(policy, "192.0.2.1").monitored);
}

TEST(Why, AnswersForEachDatabaseOrTheOneAskedFor) {
  auto policy = policy_of({});
  Database bills;
  bills.id = "bills";
  policy.databases.insert(policy.databases.begin(), bills);
  const auto source = parse_address("192.0.2.1").value();
  EXPECT_EQ(explain(policy, source, "", now).size(), 2);
  ASSERT_EQ(explain(policy, source, "bills", now).size(), 1);
  EXPECT_EQ(explain(policy, source, "bills", now).front().database, "bills");
  EXPECT_TRUE(explain(policy, source, "nobody", now).empty());
}

}  // namespace
}  // namespace moat
