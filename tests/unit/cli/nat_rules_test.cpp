// SPDX-License-Identifier: BSD-2-Clause
// tests/unit/cli/nat has what nft 1.0.6 and iptables 1.8.9 say of real rules: rules.json of
// rules.nft.
#include "control/cli/nat_rules.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "tests/support/own_netns.h"

namespace moat {
namespace {

std::string read_file(const std::string& name) {
  std::ifstream file("tests/unit/cli/nat/" + name, std::ios::binary);
  EXPECT_TRUE(file) << "run in the source tree's root";
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string show(const PortRange& range) {
  return range.first == range.last ? fmt::format("{}", range.first)
                                   : fmt::format("{}-{}", range.first, range.last);
}

std::string show(const NatPackets& packets) {
  std::vector<std::string> ports;
  std::vector<std::string> addresses;
  for (const auto& range : packets.ports) ports.push_back(show(range));
  for (const auto& [first, last] : packets.destinations) {
    addresses.push_back(first == last
                            ? format_address(first)
                            : fmt::format("{}-{}", format_address(first), format_address(last)));
  }
  const NatPackets all;
  return fmt::format(
      "{}{}{}",
      packets.destinations == all.destinations ? "*" : fmt::format("{}", fmt::join(addresses, ",")),
      packets.ports_are_known ? ":" : "?",
      packets.ports == all.ports ? "*" : fmt::format("{}", fmt::join(ports, ",")));
}

// "ADDRESSES:PORTS -> TARGET:PORTS", "source ...", a line each.
std::string show(const std::vector<NatRule>& rules) {
  std::string text;
  for (const auto& rule : rules) {
    if (rule.kind == NatRule::Kind::source) {
      text += fmt::format("source {}:{}{}\n", rule.target.empty() ? "*" : rule.target,
                          rule.new_ports ? show(*rule.new_ports) : "*",
                          rule.is_random ? " random" : "");
    } else {
      text += fmt::format("{}{} -> {}:{}\n", rule.ipv6 ? "6 " : "", show(rule.packets),
                          rule.target.empty() ? "here" : rule.target,
                          rule.new_ports ? show(*rule.new_ports) : "*");
    }
  }
  return text;
}

constexpr auto nft_rules =
    "*:5400 -> 172.30.0.2:5432\n"
    "*:5401,5405-5407 -> 172.30.0.2:*\n"
    "*:5420,5421 -> 172.30.0.2:5432\n"
    "198.18.0.5:5402 -> here:5432\n"
    "*:5403 -> 172.30.0.7:*\n"
    "*:5410 -> 172.30.0.2:5432\n"
    "*:5411 -> 172.30.0.3:5433\n"
    "198.18.0.5:5499 -> 172.30.0.2:5432\n"
    "*:5404 -> 172.30.0.2-172.30.0.9:5430-5440\n"
    "*:5412 -> 172.30.0.9:*\n"
    "*:5413 -> here:*\n"
    "*:* -> 172.30.0.2:5432\n"
    "1.2.3.4:* -> 172.30.0.9:*\n"
    "198.18.0.5:5499 -> 172.30.0.9:*\n"
    "*:0-5399,5501-65535 -> 172.30.0.9:*\n"
    "*:5400 -> 172.30.0.2:5432\n"
    "*:5400 -> 172.30.0.3:5432\n"
    "*:5400 -> 172.30.0.2:5432\n"
    "*:5400 -> 172.30.0.3:5432\n"
    "*:5400 -> 172.30.0.2:5432\n"
    "192.0.2.0-192.0.2.255:* -> 10.1.2.0/24:*\n"
    "*:5400 -> 172.30.0.2:5432\n"
    "6 *:5400 -> fd00::2:5432\n"
    "*:5500 -> here:5432\n"
    "source *:*\n"
    "source *:5000-5432 random\n"
    "source 198.18.0.5:*\n"
    "source 198.18.0.5:1024-65535\n"
    "source 198.18.0.5:5433-65535 random\n";

TEST(NatRules, AreReadFromNft) {
  const auto ruleset = parse_nft_nat(read_file("rules.json"));
  ASSERT_TRUE(ruleset) << ruleset.error();
  const auto rules = flatten(*ruleset);
  EXPECT_EQ(show(rules), nft_rules) << "the one of UDP is not among them";
  EXPECT_TRUE(ruleset->unread.empty());
  EXPECT_FALSE(ruleset->has_iptables4);
  EXPECT_EQ(rules.front().place, "table ip t, chain p, handle 8");
}

// One rule in a base chain of prerouting.
std::expected<NatRuleset, std::string> parse_statements(const std::string& statements) {
  return parse_nft_nat(
      R"({"nftables": [{"metainfo": {"json_schema_version": 1}},
          {"chain": {"family": "ip", "table": "t", "name": "p", "type": "nat", "hook": "prerouting"}},
          {"rule": {"family": "ip", "table": "t", "chain": "p", "handle": 3, "expr": [)" +
      statements + "]}}]}");
}

const std::string to_container = R"({"dnat": {"addr": "172.30.0.2", "port": 5432}})";

TEST(NatRules, TakeMorePacketsWhereACaseIsNotUnderstood) {
  const auto shown = [](const std::string& condition) {
    return show(flatten(*parse_statements(condition + to_container)));
  };
  EXPECT_EQ(
      shown(R"({"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}},
                     "right": "@gone"}},)"),
      "*?* -> 172.30.0.2:5432\n");
  EXPECT_EQ(
      shown(R"({"match": {"op": ">", "left": {"payload": {"protocol": "tcp", "field": "dport"}},
                     "right": 1024}},)"),
      "*?* -> 172.30.0.2:5432\n");
  EXPECT_EQ(shown(R"({"match": {"op": "==", "left": {"&": [{"payload": {"protocol": "tcp",
                     "field": "dport"}}, 1]}, "right": 1}},)"),
            "*?* -> 172.30.0.2:5432\n");
  EXPECT_EQ(shown(R"({"match": {"op": "==", "left": {"meta": {"key": "mark"}}, "right": 7}},)"),
            "*:* -> 172.30.0.2:5432\n");
}

TEST(NatRules, TellWhichRuleIsNotUnderstood) {
  const auto ruleset = parse_statements(R"({"dnat": {"addr": {"symhash": {"mod": 2}}}})");
  ASSERT_TRUE(ruleset);
  EXPECT_EQ(ruleset->unread, std::vector<std::string>{"table ip t, chain p, handle 3: dnat"});
  EXPECT_TRUE(flatten(*ruleset).empty());
}

TEST(NatRules, RefuseWhatIsNoRuleset) {
  for (const auto* json : {"", "{", "[]", R"({"nftables": 1})",
                           R"({"nftables": [{"metainfo": {"json_schema_version": 2}}]})"}) {
    EXPECT_FALSE(parse_nft_nat(json)) << json;
  }
  EXPECT_FALSE(parse_iptables_nat("", false));
  EXPECT_FALSE(parse_iptables_nat("*filter\nCOMMIT\n", false));
  EXPECT_FALSE(parse_iptables_nat("*nat\n-A PREROUTING -j DNAT\n", false)) << "no COMMIT";
}

TEST(NatRules, OfIptablesAreSeenInNftAndReadElsewhere) {
  const auto ruleset = parse_nft_nat(read_file("iptables.json"));
  ASSERT_TRUE(ruleset) << ruleset.error();
  EXPECT_TRUE(ruleset->has_iptables4);
  EXPECT_FALSE(ruleset->has_iptables6);
  EXPECT_TRUE(flatten(*ruleset).empty());
}

constexpr auto iptables_rules =
    "*:5400 -> 172.30.0.2:5432\n"
    "*:5401 -> 172.30.0.2:5432\n"
    "127.0.0.1:5402,5403-5405 -> here:5432\n"
    "*:5403 -> 172.30.0.2:10-20\n"
    "198.18.0.0-198.18.0.255:0-1023 -> 172.30.0.3:*\n"
    "source *:*\n"
    "source 1.2.3.4:1024-2000 random\n"
    "source *:5000-5432 random\n";

TEST(NatRules, AreReadFromIptables) {
  const auto ruleset = parse_iptables_nat(read_file("iptables.save"), false);
  ASSERT_TRUE(ruleset) << ruleset.error();
  EXPECT_EQ(show(flatten(*ruleset)), iptables_rules);
  EXPECT_EQ(ruleset->unread,
            std::vector<std::string>{
                "iptables -t nat -A PREROUTING -m mark --mark 0x7 -j NETMAP --to 10.0.0.0/24"});
}

TEST(NatRules, AreReadFromIptablesOfIpv6) {
  const auto ruleset = parse_iptables_nat(
      "*nat\n"
      "-A PREROUTING -p tcp -m tcp --dport 5400 -j DNAT --to-destination [fd00::2]:5432\n"
      "-A PREROUTING -p tcp -m tcp --dport 5401 -j DNAT --to-destination fd00::2\n"
      "COMMIT\n",
      true);
  ASSERT_TRUE(ruleset) << ruleset.error();
  EXPECT_EQ(show(flatten(*ruleset)), "6 *:5400 -> fd00::2:5432\n6 *:5401 -> fd00::2:*\n");
}

TEST(NatRules, ChainsThatLeadInACircleAreCut) {
  NatRuleset ruleset;
  ruleset.prerouting = {"a"};
  ruleset.chains["a"] = {{{}, "b", std::nullopt}};
  ruleset.chains["b"] = {{{}, "a", std::nullopt}, {{}, "", NatRule{}}};
  EXPECT_EQ(flatten(ruleset).size(), 1);
}

// What the programs of this system say now, of both kinds at once and of iptables' older kind.
TEST(NatRulesAsRoot, AreReadFromThisHost) {
  ASSERT_TRUE(enter_own_netns());
  EXPECT_EQ(show(read_nat_rules().rules), "");
  ASSERT_TRUE(run("nft -f tests/unit/cli/nat/rules.nft"));
  ASSERT_TRUE(run("iptables-nft-restore tests/unit/cli/nat/iptables.save"));
  ASSERT_TRUE(
      run("iptables-legacy -t nat -A PREROUTING -p tcp --dport 5499 -j DNAT"
          " --to-destination 172.30.0.2:5432"));
  const auto reading = read_nat_rules();
  EXPECT_EQ(show(reading.rules),
            std::string(nft_rules) + iptables_rules + "*:5499 -> 172.30.0.2:5432\n");
  EXPECT_EQ(reading.unread.size(), 1) << "the NETMAP";
}

}  // namespace
}  // namespace moat
