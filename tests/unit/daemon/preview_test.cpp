// SPDX-License-Identifier: BSD-2-Clause
#include "control/daemon/preview.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>

namespace moat {
namespace {

using namespace std::chrono_literals;

const WallTime now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());

Rule cidr(const std::string& id, const std::string& text) {
  Rule rule;
  rule.id = id;
  rule.cidr = parse_prefix(text).value();
  return rule;
}

Database database(const std::string& id, std::uint16_t port, std::vector<Rule> rules) {
  Database made;
  made.id = id;
  made.endpoint.ports = {port};
  made.rules = std::move(rules);
  return made;
}

Policy policy(std::vector<Database> databases) {
  Policy made;
  made.databases = std::move(databases);
  return made;
}

using Sentences = std::vector<std::string>;

// What opens from one policy to another, under the same settings.
Sentences opens(const Policy& before, const Policy& after) {
  const Config config;
  return find_openings({before, config}, {after, config}, now);
}

// The same, from one moat.yaml to another.
Sentences opens(const Config& before, const Config& after) {
  const Policy nothing;
  return find_openings({nothing, before}, {nothing, after}, now);
}

TEST(FindOpenings, NamesARuleForMoreThanASlash8) {
  const auto before = policy({database("orders", 5432, {cidr("r-1", "10.0.0.0/8")})});
  const auto with = [](Rule rule) { return policy({database("orders", 5432, {std::move(rule)})}); };
  EXPECT_EQ(opens(policy({}), before), Sentences{});
  EXPECT_EQ(opens(before, with(cidr("r-2", "0.0.0.0/0"))),
            Sentences{"0.0.0.0/0 lets EVERY ADDRESS in to orders"});
  EXPECT_EQ(opens(before, with(cidr("r-2", "10.0.0.0/7"))),
            Sentences{"10.0.0.0/7 lets 33 million addresses in to orders"});
  EXPECT_EQ(opens(with(cidr("r-2", "0.0.0.0/0")), with(cidr("r-3", "0.0.0.0/0"))), Sentences{})
      << "it does so already";
  auto expired = cidr("r-2", "0.0.0.0/0");
  expired.expires = now - 1s;
  EXPECT_EQ(opens(before, with(expired)), Sentences{});
  EXPECT_EQ(opens(with(expired), with(cidr("r-2", "0.0.0.0/0"))).size(), 1) << "valid again";
}

TEST(FindOpenings, NamesALargeNetworkThatLastsLongerThanItWasTo) {
  const auto until = [](std::optional<WallTime> end, const char* network = "0.0.0.0/0") {
    auto rule = cidr("r-1", network);
    rule.expires = end;
    return policy({database("orders", 5432, {std::move(rule)})});
  };
  const auto at = parse_time("2100-01-01T00:00:00Z").value();
  EXPECT_EQ(opens(until(at), until(std::nullopt)),
            Sentences{"0.0.0.0/0 lets EVERY ADDRESS in to orders for good; it was to end at "
                      "2100-01-01T00:00:00Z"});
  EXPECT_EQ(opens(until(at), until(at + 1h)),
            Sentences{"0.0.0.0/0 lets EVERY ADDRESS in to orders until 2100-01-01T01:00:00Z; it "
                      "was to end at 2100-01-01T00:00:00Z"});
  EXPECT_EQ(opens(until(at), until(std::nullopt, "10.0.0.0/7")),
            Sentences{"10.0.0.0/7 lets 33 million addresses in to orders for good; it was to end "
                      "at 2100-01-01T00:00:00Z"})
      << "part of it";
  for (const auto& [before, after] : {std::pair{until(at), until(at)},
                                      {until(at), until(at - 1s)},
                                      {until({}), until(at)},
                                      {until({}), until({}, "0.0.0.0/1")}})
    EXPECT_EQ(opens(before, after), Sentences{}) << "no longer, and no more";
  auto twice = until(at);
  twice.databases.front().rules.push_back(cidr("r-2", "0.0.0.0/0"));
  EXPECT_EQ(opens(twice, until(std::nullopt)), Sentences{}) << "another rule never ended";
}

TEST(FindOpenings, NamesAManagedRangeThatHoldsOne) {
  Rule rule;
  rule.id = "r-1";
  rule.managed_range = "mr-a";
  auto after = policy({database("orders", 5432, {rule})});
  after.ranges["mr-a"] = {
      "mr-a",
      "A",
      std::make_shared<const Prefixes>(Prefixes{parse_prefix("0.0.0.0/1").value()}),
      {}};
  EXPECT_EQ(opens(policy({database("orders", 5432, {})}), after),
            Sentences{"0.0.0.0/1 (managed range mr-a) lets 2147 million addresses in to orders"});
}

TEST(FindOpenings, NamesANetPeeringThatIsOne) {
  Rule rule;
  rule.id = "r-1";
  rule.net_peering = "pcx-1";
  auto after = policy({database("orders", 5432, {rule})});
  after.databases.front().peerings = {{"pcx-1", parse_prefix("0.0.0.0/0").value(), "", "", {}}};
  auto registered = after;
  registered.databases.front().rules.clear();
  EXPECT_EQ(opens(registered, after),
            Sentences{"0.0.0.0/0 (net peering pcx-1) lets EVERY ADDRESS in to orders"});
  EXPECT_EQ(opens(policy({database("orders", 5432, {})}), registered), Sentences{})
      << "it admits nobody";
  auto narrow = after;
  narrow.databases.front().peerings.front().cidr = parse_prefix("10.0.0.0/8").value();
  EXPECT_EQ(opens(narrow, after).size(), 1) << "the peering became wider under its rule";
}

// So many networks of a /8 each, from 1.0.0.0 on.
Policy with_slash_8s(unsigned count) {
  Rule rule;
  rule.id = "r-1";
  rule.managed_range = "mr-a";
  auto made = policy({database("orders", 5432, {rule})});
  Prefixes prefixes;
  for (unsigned first = 1; first <= count; ++first) prefixes.push_back({Address(first << 24), 8});
  made.ranges["mr-a"] = {"mr-a", "A", std::make_shared<const Prefixes>(std::move(prefixes)), {}};
  return made;
}

TEST(FindOpenings, NamesNetworksThatAreMostAddressesTogether) {
  const auto before = policy({database("orders", 5432, {})});
  EXPECT_EQ(opens(before, with_slash_8s(100)), Sentences{});
  EXPECT_EQ(opens(before, with_slash_8s(223)),
            Sentences{"its rules together let EVERY ADDRESS in to orders"});
  EXPECT_EQ(opens(with_slash_8s(100), with_slash_8s(200)),
            Sentences{"its rules together let 89 % of all addresses in to orders"});
  EXPECT_EQ(opens(with_slash_8s(200), with_slash_8s(210)), Sentences{}) << "they do so already";
  EXPECT_EQ(opens(with_slash_8s(210), with_slash_8s(223)).size(), 1);
}

TEST(FindOpenings, NamesHalvesThatAreEveryAddressTogether) {
  const auto low = cidr("r-1", "0.0.0.0/1");
  const auto high = cidr("r-2", "128.0.0.0/1");
  const std::string all = "its rules together let EVERY ADDRESS in to orders";
  const auto both = policy({database("orders", 5432, {low, high})});
  const auto told = opens(policy({database("orders", 5432, {})}), both);
  ASSERT_EQ(told.size(), 3);
  EXPECT_EQ(told[0], "0.0.0.0/1 lets 2147 million addresses in to orders");
  EXPECT_EQ(told[2], all);
  EXPECT_EQ(opens(policy({database("orders", 5432, {low})}), both),
            (Sentences{"128.0.0.0/1 lets 2147 million addresses in to orders", all}));
  EXPECT_EQ(opens(policy({database("orders", 5432, {cidr("r-3", "0.0.0.0/0")})}), both),
            Sentences{});
}

TEST(FindOpenings, NamesNetworksThatAreMostAddressesForLongerThanTheyWereTo) {
  const auto until = [](unsigned count, std::optional<WallTime> end) {
    auto made = with_slash_8s(count);
    made.databases.front().rules.front().expires = end;
    return made;
  };
  const auto at = parse_time("2100-01-01T00:00:00Z").value();
  EXPECT_EQ(opens(until(223, at), until(223, std::nullopt)),
            Sentences{"its rules together let EVERY ADDRESS in to orders for good; it was to end "
                      "at 2100-01-01T00:00:00Z"});
  EXPECT_EQ(opens(until(223, at), until(200, at + 1h)),
            Sentences{"its rules together let 89 % of all addresses in to orders until "
                      "2100-01-01T01:00:00Z; it was to end at 2100-01-01T00:00:00Z"});
  EXPECT_EQ(opens(until(223, at), until(223, at)), Sentences{});
  EXPECT_EQ(opens(until(100, at), until(100, std::nullopt)), Sentences{});
}

TEST(FindOpenings, NamesAPortThatNobodyGuardsAnyMore) {
  const auto before = policy({database("orders", 5432, {})});
  EXPECT_EQ(opens(before, policy({})),
            Sentences{"port 5432, of orders, is guarded no longer: every address reaches it"});
  EXPECT_EQ(opens(before, policy({database("orders", 6432, {})})).size(), 1);
  EXPECT_EQ(opens(before, policy({database("sales", 5432, {})})), Sentences{});
}

// A database of one address, beside those without.
Database database_at(const std::string& id, std::uint16_t port, const char* address) {
  auto made = database(id, port, {});
  made.endpoint.address = parse_address(address).value();
  return made;
}

TEST(FindOpenings, NamesAPortThatFallsToADatabaseInMonitorMode) {
  auto lab = database("lab", 5432, {});
  const auto orders = database_at("orders", 5432, "198.18.0.5");
  EXPECT_EQ(opens(policy({lab, orders}), policy({lab})), Sentences{}) << "as closed as before";
  lab.mode = Mode::monitor;
  EXPECT_EQ(
      opens(policy({lab, orders}), policy({lab})),
      (Sentences{"port 5432 of 198.18.0.5, of orders, goes to lab, which is in monitor mode: "
                 "every address reaches it",
                 "IPv6 to port 5432 was closed by orders and goes to lab, which is in monitor "
                 "mode: it is open to everybody"}));
  auto moved = database("orders", 6432, {});
  EXPECT_EQ(opens(policy({database("orders", 5432, {})}), policy({lab, moved})),
            Sentences{"port 5432, of orders, goes to lab, which is in monitor mode: every address "
                      "reaches it"});
  auto whole = database_at("vault", 5432, "198.18.0.5");
  whole.endpoint.ports.clear();
  whole.endpoint.all = true;
  whole.mode = Mode::monitor;
  EXPECT_EQ(
      opens(policy({database("orders", 5432, {})}), policy({database("orders", 5432, {}), whole})),
      Sentences{"port 5432 of 198.18.0.5, of orders, goes to vault, which is in monitor "
                "mode: every address reaches it"});
}

TEST(FindOpenings, NamesAPortThatFallsToAWiderDatabase) {
  const auto falls_to = [](std::vector<Rule> rules) {
    const auto wide = database("wide", 5432, std::move(rules));
    const auto orders = database_at("orders", 5432, "198.18.0.5");
    return opens(policy({orders, wide}), policy({wide}));
  };
  const std::string to = "port 5432 of 198.18.0.5, of orders, goes to wide, which lets ";
  EXPECT_EQ(falls_to({cidr("r-1", "0.0.0.0/0")}), Sentences{to + "EVERY ADDRESS in"});
  EXPECT_EQ(falls_to({cidr("r-1", "0.0.0.0/1"), cidr("r-2", "128.0.0.0/1")}),
            Sentences{to + "EVERY ADDRESS in"});
  EXPECT_EQ(falls_to({cidr("r-1", "0.0.0.0/1")}), Sentences{to + "56 % of all addresses in"});
  EXPECT_EQ(falls_to({cidr("r-1", "10.0.0.0/7")}),
            Sentences{to + "10.0.0.0/7 in, 33 million addresses"});
  EXPECT_EQ(falls_to({cidr("r-1", "10.0.0.0/8")}), Sentences{});
}

TEST(FindOpenings, NamesEveryPortOfAnAddress) {
  auto whole = database_at("vault", 5432, "198.18.0.5");
  whole.endpoint.ports.clear();
  whole.endpoint.all = true;
  EXPECT_EQ(opens(policy({whole}), policy({})),
            Sentences{"every port of 198.18.0.5, of vault, is guarded no longer: every address "
                      "reaches it"});
  EXPECT_EQ(opens(policy({whole}), policy({database_at("vault", 5432, "198.18.0.5")})),
            Sentences{"every other port of 198.18.0.5, of vault, is guarded no longer: every "
                      "address reaches it"});
}

TEST(FindOpenings, NamesIpv6ThatIsClosedNoLonger) {
  auto closed = database_at("orders", 5432, "198.18.0.5");
  closed.endpoint.ports.clear();
  closed.endpoint.all = true;
  closed.endpoint.ipv6 = Ipv6::closed;
  auto open = closed;
  open.endpoint.ipv6 = Ipv6::open;
  EXPECT_EQ(opens(policy({closed}), policy({open})),
            Sentences{"IPv6 of this host is no longer closed (orders): every TCP port is open to "
                      "everybody"});
  EXPECT_EQ(opens(policy({closed}), policy({open, database("sales", 6432, {})})),
            Sentences{"IPv6 of this host is no longer closed (orders): every TCP port but 6432 is "
                      "open to everybody"});
  EXPECT_EQ(opens(policy({open}), policy({closed})), Sentences{});
  EXPECT_EQ(opens(policy({database_at("orders", 5432, "198.18.0.5")}), policy({open})),
            Sentences{"IPv6 to port 5432 is no longer closed (orders): it is open to everybody"});
  auto monitored = closed;
  monitored.mode = Mode::monitor;
  EXPECT_EQ(opens(policy({closed}), policy({monitored})),
            Sentences{"in monitor mode everybody reaches orders"});
}

TEST(FindOpenings, NamesADatabaseThatGoesToMonitorMode) {
  const auto before = policy({database("orders", 5432, {}), database("sales", 6432, {})});
  auto own = before;
  own.databases.front().mode = Mode::monitor;
  EXPECT_EQ(opens(before, own), Sentences{"in monitor mode everybody reaches orders"});
  EXPECT_EQ(opens(own, before), Sentences{});
  auto hosts = before;
  hosts.mode = Mode::monitor;
  EXPECT_EQ(opens(before, hosts).size(), 2) << "by the host's mode";
  EXPECT_EQ(opens(own, hosts), Sentences{"in monitor mode everybody reaches sales"});
}

TEST(FindOpenings, NamesWhatMoatYamlTakesOff) {
  Config both;
  both.interfaces = {"eth0", "eth1"};
  auto one = both;
  one.interfaces = {"eth0"};
  EXPECT_EQ(opens(both, one),
            Sentences{"eth1 loses Moat's program: the backstop alone checks what comes by it"});
  EXPECT_EQ(opens(one, both), Sentences{});
  auto bare = one;
  bare.backstop = false;
  const auto all = opens(both, bare);
  ASSERT_EQ(all.size(), 2);
  EXPECT_EQ(all[0], "eth1 loses Moat's program: what comes by it is NOT GUARDED");
  EXPECT_TRUE(all[1].starts_with("the backstop goes off")) << all[1];
  auto trusting = both;
  trusting.trusted_interfaces.emplace_back("docker0");
  EXPECT_EQ(opens(both, trusting),
            Sentences{"docker0 is trusted: the backstop does not check what comes by it"});
  auto kept = both;
  kept.backstop_cgroup = "/db";
  EXPECT_EQ(opens(both, kept), Sentences{"the backstop is kept to the cgroup /db"});
  EXPECT_EQ(opens(kept, both), Sentences{});
  auto unguarded = both;
  unguarded.guard = 0;
  EXPECT_EQ(opens(both, unguarded).size(), 1);
  EXPECT_EQ(opens(unguarded, both), Sentences{});
}

TEST(FindOpenings, NamesAGuardThatAllowsForMore) {
  Config before;
  auto after = before;
  after.guard = 1000;
  EXPECT_EQ(opens(before, after),
            Sentences{"guard rises from 50 % to 1000 %: a new version of a managed range is "
                      "enforced though it gains or loses up to 1000 % of its addresses"});
  EXPECT_EQ(opens(after, before), Sentences{});
  before.guard = 0;
  EXPECT_EQ(opens(before, after), Sentences{}) << "it was off";
}

TEST(FindOpenings, NamesSessionsThatAreLeftBe) {
  Config before;
  auto after = before;
  after.drop_sessions = false;
  EXPECT_EQ(opens(before, after),
            Sentences{"drop-sessions goes off: sessions that are no longer allowed go on as "
                      "sockets, and only their packets are dropped"});
  EXPECT_EQ(opens(after, before), Sentences{});
}

// A session by the rules in force.
SessionView session(const std::string& peer, const std::string& rule) {
  SessionView view;
  view.peer = peer;
  view.address = "198.51.100.1";
  view.port = 5432;
  view.database = "orders";
  view.rule = rule;
  view.allowed = !rule.empty();
  return view;
}

class AddEnds : public testing::Test {
 protected:
  // What becomes of the sessions when `after` is enforced.
  PreviewView after(const Policy& wanted) {
    PreviewView preview;
    add_ends(sessions_, {rule_}, wanted, now, preview);
    return preview;
  }
  static RuleView rule_view() {
    RuleView view;
    view.database = "orders";
    view.id = "r-1";
    view.source = "192.0.2.0/24";
    view.last_hit = std::chrono::system_clock::now();
    return view;
  }

  std::vector<SessionView> sessions_{session("192.0.2.1", "r-1"), session("192.0.2.2", "r-1")};
  RuleView rule_ = rule_view();
};

TEST_F(AddEnds, NeedsAWordWhereAllSessionsOfARuleInUseEnd) {
  const auto none = after(policy({database("orders", 5432, {})}));
  EXPECT_EQ(none.ends.size(), 2);
  ASSERT_EQ(none.rules.size(), 1);
  EXPECT_EQ(none.rules.front().source, "192.0.2.0/24");
  EXPECT_EQ(none.rules.front().ending, 2);
  EXPECT_TRUE(none.needs_yes);
  rule_.last_hit = std::chrono::system_clock::now() - 61s;
  EXPECT_FALSE(after(policy({database("orders", 5432, {})})).needs_yes) << "not in use";
}

TEST_F(AddEnds, NeedsNoneWhereSomeStay) {
  const auto some = after(policy({database("orders", 5432, {cidr("r-2", "192.0.2.1/32")})}));
  ASSERT_EQ(some.ends.size(), 1);
  EXPECT_EQ(some.ends.front().peer, "192.0.2.2");
  EXPECT_EQ(some.ends.front().rule, "r-1");
  EXPECT_FALSE(some.needs_yes);
  EXPECT_TRUE(
      after(policy({database("orders", 5432, {cidr("r-2", "192.0.2.0/24")})})).ends.empty());
}

TEST_F(AddEnds, LeavesOutWhoMayStayWithoutARuleAndWhoIsGoneAlready) {
  auto& exempt = sessions_.emplace_back(session("192.0.2.3", ""));
  exempt.exempt = true;
  sessions_.push_back(session("192.0.2.4", ""));  // its packets are dropped
  auto monitored = policy({database("orders", 5432, {})});
  monitored.mode = Mode::monitor;
  EXPECT_TRUE(after(monitored).ends.empty());
  EXPECT_EQ(after(policy({database("orders", 5432, {})})).ends.size(), 2);
  EXPECT_TRUE(after(policy({})).ends.empty()) << "nothing is guarded then";
}

TEST_F(AddEnds, TellsWhoStaysByMonitorModeAlone) {
  sessions_ = {session("203.0.113.9", "")};
  sessions_.front().monitored = true;
  const auto enforced = after(policy({database("orders", 5432, {})}));
  EXPECT_EQ(enforced.ends.size(), 1);
  EXPECT_FALSE(enforced.needs_yes) << "no rule lets it in";
}

}  // namespace
}  // namespace moat
