// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/nat_checks.h"

#include <gtest/gtest.h>

namespace moat {
namespace {

constexpr Address outer{0xc6120005};   // 198.18.0.5
constexpr Address bridge{0xac110001};  // 172.17.0.1

HostFacts host() {
  HostFacts host;
  host.addresses = {bridge, outer};
  return host;
}

Endpoint at(std::optional<Address> address, std::vector<std::uint16_t> ports) {
  return {address, std::move(ports), false};
}

// As iptables-save has it, after "-A PREROUTING" or "-A POSTROUTING".
std::vector<NatRule> rules(const std::string& prerouting, const std::string& postrouting = "") {
  std::string text = "*nat\n";
  if (!prerouting.empty()) text += "-A PREROUTING " + prerouting + "\n";
  if (!postrouting.empty()) text += "-A POSTROUTING " + postrouting + "\n";
  const auto ruleset = parse_iptables_nat(text + "COMMIT\n", false);
  EXPECT_TRUE(ruleset && ruleset->unread.empty()) << text;
  return flatten(*ruleset);
}

std::string ways(const std::vector<Endpoint>& endpoints, const std::string& rule,
                 bool has_backstop = true) {
  std::string text;
  for (const auto& [index, message, remedy, ports] :
       find_ways_round(endpoints, rules(rule), host(), has_backstop)) {
    text += message.substr(0, message.find(": iptables")) + " (" + remedy + ")";
  }
  return text;
}

TEST(WaysRound, ToAContainerAreNamed) {
  const auto to_container = std::string(" -j DNAT --to-destination 172.17.0.2:5432");
  const auto why =
      " to port 5432 of 172.17.0.2, and Moat's rules do not apply, as no database guards the port "
      "on the wire ";
  EXPECT_EQ(ways({at({}, {5432})}, "-p tcp -m tcp --dport 5400" + to_container),
            std::string("NAT leads port 5400") + why + "(add 5400 to the ports of this database)");
  EXPECT_EQ(ways({at({}, {5432})}, "-p tcp -m multiport --dports 5400:5402,5432" + to_container),
            std::string("NAT leads ports 5400-5402") + why +
                "(add 5400, 5401, 5402 to the ports of this database)");
  EXPECT_EQ(ways({at({}, {5432})}, to_container),
            std::string("NAT leads every other port") + why +
                "(have the NAT rule take no more than guarded ports)");
  EXPECT_EQ(ways({at({}, {5432})}, "-m set --match-set ports dst" + to_container),
            std::string("NAT leads ports that Moat cannot tell") + why +
                "(guard the ports that the NAT rule takes)");
}

TEST(WaysRound, AreCountedAndNameTheDatabase) {
  const auto found = find_ways_round(
      {at({}, {5432})},
      rules("-p tcp -m multiport --dports 5400:5402 -j DNAT --to-destination 172.17.0.2:5432"),
      host(), true, {"orders"});
  ASSERT_EQ(found.size(), 1);
  EXPECT_EQ(found[0].ports, 3);
  EXPECT_EQ(found[0].remedy, "add 5400, 5401, 5402 to the ports of database orders");
}

TEST(WaysRound, AreNoneWhereThePortOnTheWireIsGuarded) {
  const auto published = "-p tcp -m tcp --dport 5432 -j DNAT --to-destination 172.17.0.2:5432";
  EXPECT_EQ(ways({at({}, {5432})}, published), "");
  EXPECT_EQ(ways({at({}, {5400}), at({}, {5432})},
                 "-p tcp -m tcp --dport 5400 -j DNAT --to-destination 172.17.0.2:5432"),
            "");
  EXPECT_EQ(ways({at({}, {5432})}, "-j DNAT --to-destination 172.17.0.2"), "");
  EXPECT_EQ(ways({at({}, {5432})}, "-p udp -j DNAT --to-destination 172.17.0.2:5432"), "");
  EXPECT_EQ(ways({at({}, {5432})}, "-p tcp --dport 80 -j DNAT --to-destination 172.17.0.2:8080"),
            "");
}

TEST(WaysRound, ByAnAddressThatIsNotGuardedAreNamed) {
  const auto published = "-p tcp -m tcp --dport 5432 -j DNAT --to-destination 172.17.0.2:5432";
  EXPECT_EQ(ways({at(outer, {5432})}, published),
            "NAT leads port 5432 of 172.17.0.1 to port 5432 of 172.17.0.2, and Moat's rules do not "
            "apply, as no database guards the port on the wire (guard port 5432 of 172.17.0.1)");
  EXPECT_EQ(ways({at(outer, {5432})}, std::string("-d 198.18.0.5/32 ") + published), "");
  EXPECT_EQ(ways({at(outer, {5432})}, std::string("-d 127.0.0.1/32 ") + published), "");
}

TEST(WaysRound, ToThisHostAreNamedWithoutTheBackstopAlone) {
  const auto redirect = "-p tcp -m tcp --dport 5400 -j REDIRECT --to-ports 5432";
  EXPECT_EQ(ways({at({}, {5432})}, redirect), "");
  EXPECT_EQ(
      ways({at({}, {5432})}, redirect, false),
      "NAT leads port 5400 to port 5432 of this host, and Moat's rules do not apply, as there "
      "is no backstop (write `backstop: true`, or add 5400 to the ports of this database)");
  const auto to_bridge = "-p tcp -m tcp --dport 5400 -j DNAT --to-destination 172.17.0.1:5432";
  EXPECT_EQ(ways({at(outer, {5432})}, to_bridge, false), "") << "another address";
  EXPECT_NE(ways({at(bridge, {5432})}, to_bridge, false), "");
}

TEST(WaysRound, BeyondTenAreCounted) {
  std::string more = "-p tcp -m tcp --dport 5400 -j DNAT --to-destination 172.17.0.2:5432";
  for (int port = 5401; port < 5413; port++) {
    more += "\n-A PREROUTING -p tcp -m tcp --dport " + std::to_string(port) +
            " -j DNAT --to-destination 172.17.0.2:5432";
  }
  const auto findings = find_ways_round({at({}, {5432})}, rules(more), host(), true);
  ASSERT_EQ(findings.size(), 11);
  EXPECT_EQ(findings.back().message,
            "3 more NAT rules lead ports that no database guards to a guarded one");
}

TEST(WaysRound, ByIpv6AreNamed) {
  const auto ruleset = parse_iptables_nat(
      "*nat\n-A PREROUTING -p tcp -m tcp --dport 5400 -j DNAT --to-destination [fd00::2]:5432\n"
      "COMMIT\n",
      true);
  ASSERT_TRUE(ruleset);
  EXPECT_EQ(find_ways_round({at(outer, {5432})}, flatten(*ruleset), host(), true).size(), 1);
  EXPECT_TRUE(find_ways_round({at(outer, {5400, 5432})}, flatten(*ruleset), host(), true).empty());
}

std::string taken(const std::vector<Endpoint>& endpoints, const std::string& rule,
                  bool is_forwarding = true) {
  auto facts = host();
  facts.is_forwarding = is_forwarding;
  const auto findings = find_taken_ports(endpoints, rules("", rule), facts);
  if (findings.empty()) return "";
  return findings[0].message.substr(0, findings[0].message.find(": iptables")) + " (" +
         findings[0].remedy + ")";
}

TEST(TakenPorts, AreNamedForMasquerade) {
  EXPECT_EQ(
      taken({at({}, {5432})}, "-s 172.17.0.0/16 -j MASQUERADE"),
      "where two connections that it forwards have the same source port, NAT takes another "
      "from 1024 to 65535 for one of them, perhaps this one, and the replies would be dropped "
      "(port 5432) (put a rule with the same conditions before it: `-p tcp -j MASQUERADE "
      "--to-ports 5433-65535`)");
  EXPECT_EQ(taken({at({}, {5432})}, "-s 172.17.0.0/16 -j MASQUERADE", false), "");
  EXPECT_EQ(taken({at({}, {5432})}, "-j MASQUERADE --random-fully", false).substr(0, 50),
            "NAT takes source ports for connections at random f");
  EXPECT_EQ(taken({at({}, {443})}, "-s 172.17.0.0/16 -j MASQUERADE"), "") << "none below 1024";
  EXPECT_EQ(taken({at({}, {5432})}, "-p udp -j MASQUERADE"), "");
}

TEST(TakenPorts, AreThoseOfTheRuleWhereItNamesSome) {
  EXPECT_EQ(
      taken({at({}, {5432, 6432})}, "-p tcp -j MASQUERADE --to-ports 5000-5432"),
      "NAT takes source ports for connections from 5000 to 5432, this one among them, and the "
      "replies would be dropped (port 5432) (put a rule with the same conditions before it: "
      "`-p tcp -j MASQUERADE --to-ports 6433-65535`)");
  EXPECT_EQ(taken({at({}, {5432})}, "-p tcp -j MASQUERADE --to-ports 5433-65535"), "");
  EXPECT_EQ(taken({at(outer, {5432})}, "-p tcp -j SNAT --to-source 198.18.0.5:1024-65535 --random")
                .substr(0, 60),
            "NAT takes source ports for connections from 1024 to 65535, t");
  EXPECT_EQ(taken({at(outer, {5432})}, "-p tcp -j SNAT --to-source 198.18.0.6:1024-65535"), "");
}

TEST(TakenPorts, AreLeftAloneByARuleBefore) {
  EXPECT_EQ(taken({at({}, {5432})},
                  "-s 172.17.0.0/16 ! -o docker0 -p tcp -j MASQUERADE --to-ports 5433-65535\n"
                  "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE"),
            "");
  EXPECT_NE(taken({at({}, {5432})},
                  "-s 172.18.0.0/16 ! -o docker0 -p tcp -j MASQUERADE --to-ports 5433-65535\n"
                  "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE"),
            "");
}

TEST(TakenPorts, AreToldOncePerEndpointByTheLikeliestRule) {
  auto facts = host();
  facts.is_forwarding = true;
  const auto findings = find_taken_ports(
      {at({}, {5432}), at({}, {6432})},
      rules("", "-s 172.17.0.0/16 -j MASQUERADE\n-A POSTROUTING -o eth0 -j MASQUERADE --random"),
      facts);
  ASSERT_EQ(findings.size(), 2);
  EXPECT_EQ(findings[1].endpoint, 1);
  EXPECT_NE(findings[0].message.find("-o eth0 -j MASQUERADE --random, and 1 more"),
            std::string::npos)
      << findings[0].message;
}

}  // namespace
}  // namespace moat
