// SPDX-License-Identifier: BSD-2-Clause
#include "control/enforce/open_ports.h"

#include <gtest/gtest.h>

namespace moat {
namespace {

using Ports = std::vector<std::uint16_t>;

const auto now = parse_time("2026-12-31T00:00:00Z").value();

Address ip(const char* text) { return parse_address(text).value(); }

Database guarded(const std::string& id, Ports ports, const char* address = nullptr) {
  Database database;
  database.id = id;
  database.endpoint.ports = std::move(ports);
  database.endpoint.all = database.endpoint.ports.empty();
  if (address) database.endpoint.address = ip(address);
  return database;
}

Policy policy(std::vector<Database> databases) {
  Policy policy;
  policy.databases = std::move(databases);
  return policy;
}

Session listening(std::uint16_t port, const char* address = nullptr) {
  Session session;
  session.local_port = port;
  if (address) session.local = ip(address);
  return session;
}

TEST(ExposedPorts, NamesAPortThatNobodyGuardsAnyMore) {
  const auto open = exposed_ports(policy({guarded("orders", {5432, 6432})}),
                                  policy({guarded("orders", {6432})}), now);
  EXPECT_EQ(open, (std::vector<ExposedPort>{{"orders", std::nullopt, 5432}}));
}

TEST(ExposedPorts, LetsAPortChangeItsDatabase) {
  EXPECT_TRUE(
      exposed_ports(policy({guarded("orders", {5432})}), policy({guarded("new", {5432})}), now)
          .empty());
}

TEST(ExposedPorts, MindsAddresses) {
  const auto any = policy({guarded("a", {5432})});
  const auto one = policy({guarded("a", {5432}, "10.0.0.5")});
  const auto whole = policy({guarded("a", {}, "10.0.0.5")});
  EXPECT_EQ(exposed_ports(any, one, now).size(), 1U);
  EXPECT_TRUE(exposed_ports(one, any, now).empty());
  EXPECT_TRUE(exposed_ports(one, whole, now).empty());
  EXPECT_EQ(exposed_ports(whole, one, now),
            (std::vector<ExposedPort>{{"a", ip("10.0.0.5"), std::uint16_t{0}}}));
}

TEST(ExposedPorts, IsToldForAsLongAsItIsOpenAndListenedOn) {
  ExposedPorts exposed;
  const auto before = policy({guarded("orders", {5432})});
  const auto after = policy({guarded("orders", {5433})});
  EXPECT_EQ(exposed.replace(before, after, now).size(), 1U);
  const auto open = exposed.open(after, {listening(5432)}, {}, now);
  ASSERT_EQ(open.size(), 1U);
  EXPECT_EQ(open[0].database, "orders");
  EXPECT_EQ(open[0].message,
            "port 5432, once guarded for orders, is open to everybody: something listens there");
  EXPECT_EQ(open[0].remedy, "name it in a database's endpoint, or stop what listens");
  EXPECT_TRUE(exposed.open(after, {listening(22)}, {}, now).empty());
  EXPECT_TRUE(exposed.open(after, {}, {}, now).empty());

  EXPECT_TRUE(exposed.replace(after, after, now).empty());
  EXPECT_EQ(exposed.open(after, {listening(5432)}, {}, now).size(), 1U) << "it stays";
  exposed.replace(after, before, now);
  EXPECT_TRUE(exposed.open(before, {listening(5432)}, {}, now).empty()) << "guarded again";
}

TEST(ExposedPorts, NamesThePortsThatAreOpenAndNoneOfAnAddressThatIsGone) {
  ExposedPorts exposed;
  const auto own = parse_address("10.0.0.5").value();
  const auto before = policy({guarded("orders", {}, "10.0.0.5")});
  const auto after = policy({guarded("orders", {5432}, "10.0.0.5")});
  exposed.replace(before, after, now);
  const auto all = {listening(5432), listening(6432), listening(22, "10.0.0.5"),
                    listening(80, "10.0.0.6")};
  const auto told = exposed.open(after, all, {own}, now);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_TRUE(
      told[0].message.starts_with("ports 22, 6432 of 10.0.0.5, once guarded for orders, are open"))
      << told[0].message;
  EXPECT_TRUE(exposed.open(after, {listening(5432)}, {own}, now).empty()) << "guarded";
  EXPECT_TRUE(exposed.open(after, all, {Address(own.value + 1)}, now).empty())
      << "the host lacks the address";
}

// A database without rules, or with one for a CIDR.
Database with_rule(Database database, const char* cidr) {
  Rule rule;
  rule.cidr = parse_prefix(cidr).value();
  database.rules = {rule};
  return database;
}

Database monitored(Database database) {
  database.mode = Mode::monitor;
  return database;
}

class PassedOnPort : public testing::Test {
 protected:
  // What is told of port 5432 of 10.0.0.5, once that of orders, as `lab` guards it alone.
  std::vector<Opening> passed_on_to(const Database& lab) {
    const auto after = policy({lab});
    exposed_.replace(before(lab), after, now);
    return exposed_.open(after, {listening(5432)}, {ip("10.0.0.5")}, now);
  }
  static Policy before(const Database& lab) {
    return policy({lab, guarded("orders", {5432}, "10.0.0.5")});
  }

  ExposedPorts exposed_;
};

TEST_F(PassedOnPort, IsOpenWhereTheOtherDatabaseIsInMonitorMode) {
  const auto lab = monitored(guarded("lab", {3306, 5432}));
  const auto told = passed_on_to(lab);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].database, "orders");
  EXPECT_EQ(told[0].message,
            "port 5432 of 10.0.0.5, once guarded for orders, is open to everybody: database lab "
            "guards it now, and is in monitor mode");
  EXPECT_EQ(told[0].remedy,
            "moat databases enforce lab, or name it in the endpoint of a database that is "
            "enforced");
  EXPECT_EQ(exposed_.replace(policy({lab}), policy({lab}), now).size(), 0U);
  EXPECT_EQ(exposed_.ports().size(), 1U) << "it stays";
  exposed_.replace(policy({lab}), policy({guarded("lab", {3306, 5432})}), now);
  EXPECT_TRUE(exposed_.ports().empty()) << "enforced";
}

TEST_F(PassedOnPort, IsOpenWhereTheOtherDatabaseLetsMostAddressesIn) {
  const auto all = passed_on_to(with_rule(guarded("lab", {5432}), "0.0.0.0/0"));
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].message,
            "port 5432 of 10.0.0.5, once guarded for orders, is open to EVERY ADDRESS: the rules "
            "of database lab, which guards it now, let them in");
  EXPECT_EQ(all[0].remedy, "moat rules list --database lab");
  const auto most = passed_on_to(with_rule(guarded("lab", {5432}), "0.0.0.0/1"));
  ASSERT_EQ(most.size(), 1U);
  EXPECT_NE(most[0].message.find("is open to most addresses"), std::string::npos);
}

TEST_F(PassedOnPort, IsClosedWhereTheOtherDatabaseIsAsNarrow) {
  EXPECT_TRUE(passed_on_to(with_rule(guarded("lab", {5432}), "10.0.0.0/8")).empty());
  EXPECT_TRUE(exposed_.ports().empty());
}

TEST_F(PassedOnPort, IsNotToldWhereItWasAsOpenBefore) {
  const auto lab = monitored(guarded("lab", {5432}));
  const auto old = policy({lab, monitored(guarded("orders", {5432}, "10.0.0.5"))});
  EXPECT_TRUE(exposed_ports(old, policy({lab}), now).empty());
}

TEST(ExposedPorts, AreLookedAtWhereTheListenerIs) {
  ExposedPorts exposed;
  const auto after = policy({guarded("orders", {5432}, "10.0.0.5")});
  exposed.replace(policy({guarded("orders", {5432})}), after, now);
  EXPECT_TRUE(exposed.open(after, {listening(5432, "10.0.0.5")}, {}, now).empty()) << "guarded";
  EXPECT_EQ(exposed.open(after, {listening(5432, "10.0.0.6")}, {}, now).size(), 1U);
}

Session in_cgroup(Session listener, std::uint64_t cgroup) {
  listener.cgroup = cgroup;
  return listener;
}

TEST(ListenersOutside, AreGuardedOnesOfOtherCgroups) {
  auto local = listening(5432, "127.0.0.1");
  local.loopback = true;
  const auto outside = listeners_outside(
      policy({guarded("a", {5432}), guarded("b", {6432}, "10.0.0.5")}),
      {in_cgroup(listening(5432), 7), in_cgroup(listening(5432), 9), in_cgroup(listening(5432), 9),
       in_cgroup(listening(6432, "10.0.0.5"), 8), in_cgroup(listening(6432, "10.0.0.6"), 8),
       in_cgroup(listening(22), 8), in_cgroup(local, 8), in_cgroup(listening(5432), 0)},
      {{7, "/cgroup/database"}});
  ASSERT_EQ(outside.size(), 2);
  EXPECT_EQ(outside[0].local_port, 5432);
  EXPECT_EQ(outside[0].cgroup, 9);
  EXPECT_EQ(outside[1].local_port, 6432);
  EXPECT_EQ(outside[1].cgroup, 8);
}

TEST(UnguardedListeners, AreThoseThatOthersReach) {
  auto local = listening(9999, "127.0.0.1");
  local.loopback = true;
  const auto all = {listening(5432), listening(22), listening(6432), listening(22), local};
  EXPECT_EQ(unguarded_listeners(policy({guarded("orders", {5432})}), all), (Ports{22, 6432}));
}

TEST(UnguardedListeners, ListenOnMoreThanTheGuardedAddress) {
  const auto one = policy({guarded("a", {5432}, "10.0.0.5")});
  EXPECT_TRUE(unguarded_listeners(one, {listening(5432, "10.0.0.5")}).empty());
  EXPECT_EQ(unguarded_listeners(one, {listening(5432)}), Ports{5432});
  const auto whole = policy({guarded("a", {}, "10.0.0.5")});
  EXPECT_TRUE(unguarded_listeners(whole, {listening(1, "10.0.0.5")}).empty());
}

TEST(UnguardedListeners, OfIPv6AreHeldToTheAddressesOfIPv4TheyTake) {
  auto both = listening(5432);
  both.ipv6 = both.ipv4_too = true;
  auto ipv6 = both;
  ipv6.ipv4_too = false;
  const auto one = policy({guarded("a", {5432}, "10.0.0.5")});
  EXPECT_EQ(unguarded_listeners(one, {both}), Ports{5432});
  EXPECT_TRUE(unguarded_listeners(one, {ipv6}).empty());
  EXPECT_TRUE(unguarded_listeners(policy({guarded("a", {5432})}), {both}).empty());
}

TEST(UnguardedListeners, OfIPv6AreGuardedWhereAllOfItIsClosed) {
  auto ipv6 = listening(22);
  ipv6.ipv6 = true;
  auto whole = guarded("a", {}, "10.0.0.5");
  EXPECT_EQ(unguarded_listeners(policy({whole}), {ipv6}), Ports{22});
  whole.endpoint.ipv6 = Ipv6::closed;
  EXPECT_TRUE(unguarded_listeners(policy({whole}), {ipv6}).empty());
}

class AbsentAddress : public testing::Test {
 protected:
  AbsentAddresses found(const Policy& policy, const std::vector<Session>& listeners) {
    return absent_addresses(policy, listeners, {ip("10.0.0.6"), ip("10.0.0.7")});
  }
};

TEST_F(AbsentAddress, LeavesThePortOpenWhereSomethingListensAtAnother) {
  auto orders = guarded("orders", {5432}, "10.0.0.5");
  orders.place = {"orders.yaml", 1, 1};
  const auto open = found(policy({orders}), {listening(5432), listening(22)}).open;
  ASSERT_EQ(open.size(), 1U);
  EXPECT_EQ(open[0].message,
            "port 5432 is open to everybody at 10.0.0.6, 10.0.0.7: database orders guards it at "
            "10.0.0.5 alone, which no interface of this host has");
  EXPECT_EQ(open[0].remedy,
            "write the address that it has in orders.yaml as `address`, or leave `address` out: "
            "that guards every address");
}

TEST_F(AbsentAddress, IsANoticeWhereNothingListensElsewhere) {
  const auto orders = guarded("orders", {5432}, "10.0.0.5");
  auto local = listening(5432, "127.0.0.1");
  local.loopback = true;
  for (const auto& listeners :
       {std::vector<Session>{}, {listening(22)}, {listening(5432, "10.0.0.5")}, {local}}) {
    const auto absent = found(policy({orders}), listeners);
    EXPECT_TRUE(absent.open.empty());
    ASSERT_EQ(absent.standby.size(), 1U);
    EXPECT_EQ(absent.standby[0].message,
              "no interface of this host has the address 10.0.0.5 of database orders: its ports "
              "are guarded there alone, once it is here");
  }
}

TEST_F(AbsentAddress, IsNoMatterWhereAnotherDatabaseGuardsThePort) {
  const auto here = policy({guarded("orders", {5432}, "10.0.0.6")});
  EXPECT_TRUE(found(here, {listening(5432)}).open.empty()) << "its address is the host's";
  EXPECT_TRUE(found(here, {}).standby.empty());
  const auto both = policy({guarded("orders", {5432}, "10.0.0.5"), guarded("all", {5432})});
  EXPECT_TRUE(found(both, {listening(5432)}).open.empty());
  const auto one = policy({guarded("a", {5432}, "10.0.0.5"), guarded("b", {5432}, "10.0.0.6")});
  ASSERT_EQ(found(one, {listening(5432)}).open.size(), 1U);
  EXPECT_TRUE(found(one, {listening(5432)}).open[0].message.contains("at 10.0.0.7: "));
  EXPECT_TRUE(found(one, {listening(5432, "10.0.0.6")}).open.empty());
}

TEST_F(AbsentAddress, OfAllPortsIsHeldToThoseThatDatabasesListenOn) {
  const auto all = policy({guarded("vault", {}, "10.0.0.5")});
  EXPECT_TRUE(found(all, {listening(22)}).open.empty());
  ASSERT_EQ(found(all, {listening(22), listening(5432)}).open.size(), 1U);
  EXPECT_TRUE(
      found(all, {listening(22), listening(5432)}).open[0].message.starts_with("port 5432 is"));
}

TEST_F(AbsentAddress, CountsListenersOfBothFamilies) {
  auto both = listening(5432);
  both.ipv6 = true;
  const auto orders = policy({guarded("orders", {5432}, "10.0.0.5")});
  EXPECT_TRUE(found(orders, {both}).open.empty()) << "IPv6 is closed";
  both.ipv4_too = true;
  EXPECT_EQ(found(orders, {both}).open.size(), 1U);
}

TEST(OpenIpv6, IsToldUntilAFileSaysWhatItIsToBe) {
  auto ssh = listening(22);
  ssh.ipv6 = true;
  auto postgres = listening(5432);
  postgres.ipv6 = postgres.ipv4_too = true;
  auto whole = guarded("vault", {}, "10.0.0.5");
  const auto told = open_ipv6(policy({whole}), {ssh, postgres, listening(80)});
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].database, "vault");
  EXPECT_TRUE(told[0].message.ends_with("22, 5432 (PostgreSQL's usual port)")) << told[0].message;
  EXPECT_TRUE(
      open_ipv6(policy({guarded("a", {5432}), whole}), {ssh, postgres})[0].message.ends_with(
          ": 22"))
      << "a port that is named is closed";
  EXPECT_TRUE(open_ipv6(policy({whole}), {listening(80)}).empty());
  whole.endpoint.ipv6 = Ipv6::open;
  EXPECT_TRUE(open_ipv6(policy({whole}), {ssh}).empty());
  whole.endpoint.ipv6 = Ipv6::closed;
  EXPECT_TRUE(open_ipv6(policy({whole}), {ssh}).empty());
}

TEST(UnguardedListeners, AreTextWithWhatUsuallyListensThere) {
  EXPECT_EQ(list_ports({22, 6432}), "22, 6432 (PgBouncer's usual port)");
}

}  // namespace
}  // namespace moat
