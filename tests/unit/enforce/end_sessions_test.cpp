// SPDX-License-Identifier: BSD-2-Clause
// Whose session may go on. That sessions really end is sessions_test's.
#include "control/enforce/end_sessions.h"

#include <gtest/gtest.h>

#include "control/enforce/compile.h"

namespace moat {
namespace {

constexpr std::uint64_t now = 1'000'000'000'000;

Database guarded(const std::string& id, std::vector<std::uint16_t> ports,
                 const std::string& allowed) {
  Database database;
  database.id = id;
  database.endpoint.ports = std::move(ports);
  Rule rule;
  rule.cidr = parse_prefix(allowed).value();
  database.rules = {rule};
  derive_rule_ids(database);
  return database;
}

class MayStay : public testing::Test {
 protected:
  void SetUp() override {
    policy_.databases = {guarded("orders", {5432, 6432}, "198.51.100.0/24"),
                         guarded("shop", {3306}, "0.0.0.0/0")};
  }

  template <typename SessionOrTranslation>
  bool may_stay(const SessionOrTranslation& session) {
    const SlotMap slots{[](std::string_view) { return std::uint8_t{1}; },
                        [](std::string_view, std::string_view) { return std::uint16_t{1}; }};
    const auto table = compile(policy_, slots, {WallTime{std::chrono::seconds(1)}, now}, 1);
    EXPECT_TRUE(table);
    return table && moat::may_stay({policy_, *table, now}, session);
  }
  static Session from(const std::string& peer, std::uint16_t port) {
    Session session;
    session.local = parse_address("203.0.113.5").value();
    session.local_port = port;
    session.peer = parse_address(peer).value();
    return session;
  }
  // `peer` asked for `wire`, and NAT made `port` of it, and of the peer `source`.
  static Translation by_nat(const std::string& peer, std::uint16_t wire, std::uint16_t port,
                            const std::string& source) {
    Translation session;
    session.wire = from(peer, wire);
    session.translated = from(source, port);
    return session;
  }

  Policy policy_;
};

TEST_F(MayStay, WhoARuleAllows) {
  EXPECT_TRUE(may_stay(from("198.51.100.7", 5432)));
  EXPECT_TRUE(may_stay(from("198.51.100.7", 6432)));
  EXPECT_FALSE(may_stay(from("198.51.101.7", 5432)));
  EXPECT_TRUE(may_stay(from("198.51.101.7", 3306)));
}

TEST_F(MayStay, EverybodyOnAPortThatIsNotGuarded) { EXPECT_TRUE(may_stay(from("9.9.9.9", 22))); }

TEST_F(MayStay, NoMartianThoughAllAreListed) { EXPECT_FALSE(may_stay(from("240.0.0.1", 3306))); }

TEST_F(MayStay, TheHostItself) {
  auto session = from("203.0.113.5", 5432);
  session.own = true;
  EXPECT_TRUE(may_stay(session));
}

TEST_F(MayStay, EverybodyInMonitorMode) {
  policy_.databases[0].mode = Mode::monitor;
  EXPECT_TRUE(may_stay(from("9.9.9.9", 5432)));
  policy_.databases[0].mode.reset();
  policy_.mode = Mode::monitor;
  EXPECT_TRUE(may_stay(from("9.9.9.9", 5432)));
  policy_.databases[0].mode = Mode::enforce;
  EXPECT_FALSE(may_stay(from("9.9.9.9", 5432))) << "the database's mode counts";
}

TEST_F(MayStay, NobodyByIpv6OnAGuardedPort) {
  Session session;
  session.ipv6 = true;
  session.local_port = 5432;
  EXPECT_FALSE(may_stay(session));
  session.local_port = 22;
  EXPECT_TRUE(may_stay(session));
  session.local_port = 5432;
  session.own = true;
  EXPECT_TRUE(may_stay(session));
  session.own = false;
  policy_.databases[0].mode = Mode::monitor;
  EXPECT_TRUE(may_stay(session));
}

TEST_F(MayStay, NobodyByIpv6OnAPortThatOneOfTwoDatabasesEnforces) {
  policy_.databases.push_back(guarded("third", {5432}, "10.0.0.0/8"));
  policy_.databases[0].endpoint.address = parse_address("203.0.113.5").value();
  policy_.databases[0].mode = Mode::monitor;
  Session session;
  session.ipv6 = true;
  session.local_port = 5432;
  EXPECT_FALSE(may_stay(session));
  policy_.databases[2].mode = Mode::monitor;
  EXPECT_TRUE(may_stay(session));
}

TEST_F(MayStay, NobodyByIpv6WhereAllOfItIsClosed) {
  Database whole;
  whole.id = "whole";
  whole.endpoint = {parse_address("203.0.113.5").value(), {}, true, Ipv6::open};
  policy_.databases.push_back(whole);
  Session session;
  session.ipv6 = true;
  session.local_port = 22;
  EXPECT_TRUE(may_stay(session));
  policy_.databases.back().endpoint.ipv6 = Ipv6::closed;
  EXPECT_FALSE(may_stay(session));
  policy_.databases.back().mode = Mode::monitor;
  EXPECT_TRUE(may_stay(session));
}

TEST_F(MayStay, ByTheDatabaseOfTheAddressBeforeTheOneOfThePort) {
  auto own = guarded("own", {5432}, "10.0.0.0/8");
  own.endpoint.address = parse_address("203.0.113.5").value();
  policy_.databases.push_back(own);
  EXPECT_TRUE(may_stay(from("10.1.1.1", 5432)));
  EXPECT_FALSE(may_stay(from("198.51.100.7", 5432)));
}

TEST_F(MayStay, ByNatWhoMayReachThePortOnTheWireAndTheOneItLeadsTo) {
  const auto listed = "198.51.100.7";
  const auto unlisted = "9.9.9.9";
  EXPECT_TRUE(may_stay(by_nat(listed, 5432, 7000, listed)));
  EXPECT_FALSE(may_stay(by_nat(unlisted, 5432, 7000, unlisted))) << "guarded on the wire";
  EXPECT_FALSE(may_stay(by_nat(unlisted, 7000, 5432, unlisted))) << "guarded behind NAT";
  EXPECT_TRUE(may_stay(by_nat(unlisted, 7000, 7001, unlisted)));
  policy_.databases[1].rules[0].cidr = parse_prefix("10.0.0.0/8").value();
  EXPECT_FALSE(may_stay(by_nat(listed, 5432, 3306, listed))) << "either may end it";
  EXPECT_FALSE(may_stay(by_nat(listed, 3306, 5432, listed)));
}

TEST_F(MayStay, ByNatAsTheSourceOnTheWire) {
  EXPECT_TRUE(may_stay(by_nat("198.51.100.7", 5432, 5432, "9.9.9.9")));
  EXPECT_FALSE(may_stay(by_nat("9.9.9.9", 5432, 5432, "198.51.100.7")));
  auto to_the_hosts_own = by_nat("9.9.9.9", 5432, 5432, "203.0.113.5");
  to_the_hosts_own.translated.own = true;
  EXPECT_FALSE(may_stay(to_the_hosts_own));
  auto of_the_host = by_nat("203.0.113.5", 5432, 6432, "203.0.113.5");
  of_the_host.wire.own = of_the_host.translated.own = true;
  EXPECT_TRUE(may_stay(of_the_host));
}

TEST_F(MayStay, ByNatInMonitorMode) {
  policy_.mode = Mode::monitor;
  EXPECT_TRUE(may_stay(by_nat("9.9.9.9", 5432, 7000, "9.9.9.9")));
}

TEST(GuardedPorts, AreThoseOfAllDatabasesOnce) {
  Policy policy;
  policy.databases = {guarded("a", {6432, 5432}, "10.0.0.0/8"), guarded("b", {5432}, "10.0.0.0/8")};
  EXPECT_EQ(guarded_ports(policy), (std::vector<std::uint16_t>{5432, 6432}));
  policy.databases[0].endpoint.ports.clear();
  policy.databases[0].endpoint.all = true;
  EXPECT_EQ(guarded_ports(policy), std::nullopt);
}

}  // namespace
}  // namespace moat
