// SPDX-License-Identifier: BSD-2-Clause
// tests/unit/cli/import has what the programs say of real rules: rules.json is what nft 1.0.6 makes
// of rules.nft; user.rules is as ufw 0.36 writes it.
#include "control/cli/import_rules.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <tuple>

#include "control/cli/filter_behind.h"
#include "control/text/utf8.h"
#include "tests/support/own_netns.h"

namespace moat {
namespace {

constexpr FilterQuestion orders{5432, {}};

std::string read_file(const std::string& name) {
  std::ifstream file("tests/unit/cli/import/" + name, std::ios::binary);
  EXPECT_TRUE(file) << "run in the source tree's root";
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string show(const Imported& imported) {
  std::string text;
  for (const auto& [cidr, label] : imported.rules)
    text += fmt::format("{}{}{}\n", format_prefix(cidr), label.empty() ? "" : " ", label);
  return text;
}

Imported import(const std::expected<FilterRuleset, std::string>& ruleset) {
  if (!ruleset) {
    ADD_FAILURE() << ruleset.error();
    return {};
  }
  auto imported = take_over(*ruleset, "FILE");
  if (imported) return *std::move(imported);
  ADD_FAILURE() << imported.error();
  return {};
}

Imported import_nft(const std::string& rules) {
  const auto whole = R"({"nftables": [{"metainfo": {"json_schema_version": 1}},
    {"chain": {"family": "ip", "table": "t", "name": "in", "type": "filter", "hook": "input",
               "policy": "drop"}}, )" +
                     rules + "]}";
  return import(parse_nft_filter(whole, orders));
}

std::string nft_rule(const std::string& expr) {
  return R"({"rule": {"family": "ip", "table": "t", "chain": "in", "handle": 1, "expr": [)" + expr +
         "]}}";
}

std::string match_source(const std::string& source) {
  return R"({"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": )" +
         source + "}}";
}

std::string iptables(const std::string& rules, const std::string& policy = "DROP") {
  return "*filter\n:INPUT " + policy + " [0:0]\n:FORWARD ACCEPT [0:0]\n:sub - [0:0]\n" + rules +
         "COMMIT\n";
}

bool says(const Imported& imported, const std::string& words) {
  return std::ranges::any_of(imported.left_out,
                             [&](const std::string& said) { return said.contains(words); });
}

std::string all(const Imported& imported) {
  return fmt::format("{}", fmt::join(imported.left_out, "\n"));
}

TEST(Import, OfUfwTakesWhatIsSureToPass) {
  const auto imported =
      import(parse_iptables_filter(read_file("user.rules"), orders, "ufw-user-input"));
  EXPECT_EQ(show(imported),
            "192.0.2.77/32 with a “quote”\n"
            "203.0.113.0/29 the office\n"
            "203.0.113.8/32\n"
            "203.0.113.10/31\n"
            "203.0.113.12/30\n")
      << "without 203.0.113.9, which an earlier rule denies";
  EXPECT_TRUE(says(imported, "FILE:25: ")) << all(imported);
  EXPECT_TRUE(says(imported, "-m recent (198.51.100.0/24)")) << all(imported);
  EXPECT_TRUE(says(imported, "it asks for -i eth1 (10.0.0.0/8)")) << all(imported);
  EXPECT_TRUE(says(imported, "it asks for -d 198.18.0.5 (192.0.2.0/26")) << all(imported);
  EXPECT_EQ(imported.left_out.size(), 3) << all(imported);
}

TEST(Import, OfUfwForOneAddressTakesRulesForIt) {
  const auto text = read_file("user.rules");
  const FilterQuestion there{5432, *parse_address("198.18.0.5")};
  EXPECT_TRUE(show(import(parse_iptables_filter(text, there, "ufw-user-input")))
                  .contains("192.0.2.0/24\n"));
  const FilterQuestion elsewhere{5432, *parse_address("198.18.0.6")};
  const auto imported = import(parse_iptables_filter(text, elsewhere, "ufw-user-input"));
  EXPECT_FALSE(show(imported).contains("192.0.2.0/24")) << show(imported);
  EXPECT_FALSE(says(imported, "198.18.0.5")) << "it is about something else";
}

TEST(Import, OfNftTakesWhatIsSureToPass) {
  const auto imported = import(parse_nft_filter(read_file("rules.json"), orders));
  EXPECT_EQ(show(imported),
            "192.0.2.10/32 pairs\n"
            "192.0.2.20/31 pool\n"
            "192.0.2.22/32 pool\n"
            "192.0.2.64/27\n"
            "198.51.100.0/26 the office\n"
            "198.51.100.64/31 the office\n"
            "198.51.100.67/32 the office\n"
            "198.51.100.68/30 the office\n"
            "198.51.100.72/29 the office\n"
            "198.51.100.80/28 the office\n"
            "198.51.100.96/27 the office\n"
            "198.51.100.128/25 the office\n"
            "203.0.113.7/32 the office\n");
  EXPECT_TRUE(says(imported, "IPv6")) << all(imported);
  EXPECT_TRUE(says(imported, "a set whose elements have an end (192.0.2.200/32)")) << all(imported);
  EXPECT_TRUE(says(imported, "it asks for iifname eth1 (10.0.0.0/8)")) << all(imported);
  EXPECT_TRUE(says(imported, "it asks for a rate (172.16.0.0/12)")) << all(imported);
  EXPECT_TRUE(says(imported, "it asks for mark 7 ")) << all(imported);
}

TEST(Import, OfPgHbaTakesNetworksOfWhoeverMayConnect) {
  const auto imported = import(parse_pg_hba(read_file("pg_hba.conf")));
  EXPECT_EQ(show(imported),
            "10.0.3.7/32 replication as rep: pg_hba.conf, line 10\n"
            "192.0.2.64/26 orders as app: pg_hba.conf, line 11\n"
            "198.51.100.0/24 long as user: pg_hba.conf, line 18\n"
            "203.0.113.8/32 orders,bills as app user,api: pg_hba.conf, line 9\n"
            "203.0.113.10/31 orders,bills as app user,api: pg_hba.conf, line 9\n"
            "203.0.113.12/30 orders,bills as app user,api: pg_hba.conf, line 9\n");
  for (const auto* words :
       {"FILE:5: ", "FILE:6: ",
        "FILE:12: host    all             all             backup.example.com",
        "FILE:13: ", "FILE:14: ", "FILE:15: ", "FILE:16: ", "FILE:17: ", "FILE:20: ",
        "the other file was not read", "FILE:22: hostile line: this line is not understood",
        "FILE:23: host    too few: a field is missing"}) {
    EXPECT_TRUE(says(imported, words)) << words << "\n" << all(imported);
  }
}

// `all` is all databases, and no replication.
TEST(Import, OfPgHbaTakesReplicationByItsOwnLines) {
  const auto taken = [](const std::string& text) { return show(import(parse_pg_hba(text))); };
  EXPECT_EQ(taken("host all all 10.0.0.0/8 reject\n"
                  "host all,replication rep 10.0.0.5/32 md5\n"
                  "host \"replication\" app 10.0.0.6/32 md5\n"),
            "10.0.0.5/32 all,replication as rep: pg_hba.conf, line 2\n");
  EXPECT_EQ(taken("host replication,all all 10.0.0.0/8 reject\n"
                  "host replication rep 10.0.0.5/32 md5\n"),
            "");
  EXPECT_EQ(taken("host replication all 10.0.0.0/8 reject\n"
                  "host replication rep 10.0.0.5/32 md5\n"
                  "host all app 10.0.0.6/32 md5\n"),
            "10.0.0.6/32 all as app: pg_hba.conf, line 3\n");
}

TEST(Import, OfNftSaysWhatToGiveItWhereTheRulesAreOfIptables) {
  const auto ruleset = parse_nft_filter(
      R"({"nftables": [{"table": {"family": "ip", "name": "filter"}},
          {"chain": {"family": "ip", "table": "filter", "name": "INPUT", "type": "filter", "hook": "input",
                     "prio": 0, "policy": "drop"}},
          {"rule": {"family": "ip", "table": "filter", "chain": "INPUT", "handle": 1,
                    "expr": [{"xt": null}]}}]})",
      orders);
  ASSERT_TRUE(ruleset) << ruleset.error();
  const auto imported = take_over(*ruleset, "FILE");
  ASSERT_FALSE(imported);
  EXPECT_NE(imported.error().find("iptables-save"), std::string::npos) << imported.error();
}

// One that may match every address hides none that comes after it.
TEST(Import, NamesEachRuleThatMayOrMayNotMatch) {
  const auto imported = import(parse_iptables_filter(
      iptables("-A INPUT -m set --match-set friends src -p tcp --dport 5432 -j ACCEPT\n"
               "-A INPUT -s 10.2.0.0/16 -d 198.18.0.5/32 -p tcp --dport 5432 -j ACCEPT\n"
               "-A INPUT -s 10.8.0.0/16 -m mark --mark 0x1 -p tcp --dport 5432 -j ACCEPT\n"),
      orders));
  EXPECT_EQ(show(imported), "");
  EXPECT_TRUE(says(imported, "(10.2.0.0/16)")) << all(imported);
  EXPECT_TRUE(says(imported, "(10.8.0.0/16)")) << all(imported);
  EXPECT_EQ(imported.left_out.size(), 3u) << all(imported);
}

TEST(Import, OfASecurityGroupTakesCidrs) {
  const auto imported = import(parse_security_group(read_file("security-group.json"), orders));
  EXPECT_EQ(show(imported), "10.42.0.0/16\n203.0.113.0/24 the office: \"2nd\" floor\n");
  for (const auto* words :
       {"10.0.0.1/8: this is no IPv4 network", "::/0: there are no IPv6 rules",
        "pl-63a5400a: a prefix list", "sg-0a1b2c3d4e5f60718: another security group"}) {
    EXPECT_TRUE(says(imported, words)) << words << "\n" << all(imported);
  }
  const auto two = parse_security_group(
      R"({"SecurityGroupRules": [{"GroupId": "sg-1"}, {"GroupId": "sg-2"}]})", orders);
  ASSERT_FALSE(two);
  EXPECT_TRUE(two.error().contains("2 security groups")) << two.error();
  const auto rules = import(parse_security_group(
      R"({"SecurityGroupRules": [
        {"GroupId": "sg-1", "IsEgress": false, "IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432,
         "CidrIpv4": "192.0.2.0/24", "Description": "app"},
        {"GroupId": "sg-1", "IsEgress": true, "IpProtocol": "-1", "CidrIpv4": "0.0.0.0/0"}]})",
      orders));
  EXPECT_EQ(show(rules), "192.0.2.0/24 app\n");
}

TEST(Import, NeverLetsInWhatAPolicyAloneLetsIn) {
  const auto imported = import(parse_iptables_filter(
      iptables("-A INPUT -s 192.0.2.0/24 -j DROP\n-A INPUT -s 10.0.0.1/32 -j ACCEPT\n", "ACCEPT"),
      orders));
  EXPECT_EQ(show(imported), "10.0.0.1/32\n");
  EXPECT_TRUE(says(imported, "what no rule there decides passes")) << all(imported);
}

TEST(Import, WhatADoubtfulDropMayTakeIsLeftOut) {
  const auto imported =
      import(parse_iptables_filter(iptables("-A INPUT -s 192.0.2.0/25 -m mark --mark 0x7 -j "
                                            "DROP\n-A INPUT -s 192.0.2.0/24 -j ACCEPT\n"),
                                   orders));
  EXPECT_EQ(show(imported), "192.0.2.128/25\n");
  EXPECT_TRUE(says(imported, "-m mark (192.0.2.0/25)")) << all(imported);
}

TEST(Import, ConditionsAfterTheVerdictCountAsWell) {
  EXPECT_EQ(
      show(import(parse_iptables_filter(iptables("-A INPUT -j ACCEPT -s 192.0.2.1/32\n"), orders))),
      "192.0.2.1/32\n");
}

TEST(Import, JumpsGotosAndReturnsLeadAsTheKernelsDo) {
  const auto imported =
      import(parse_iptables_filter(iptables("-A INPUT -s 10.0.0.0/8 -j sub\n"
                                            "-A INPUT -s 10.1.0.0/16 -j ACCEPT\n"
                                            "-A INPUT -s 172.16.0.0/16 -g sub\n"
                                            "-A INPUT -s 172.16.0.0/12 -j ACCEPT\n"
                                            "-A sub ! -s 10.0.0.0/8 -j RETURN\n"
                                            "-A sub -s 10.1.2.0/24 -j DROP\n"
                                            "-A sub -s 10.2.0.0/16 -j ACCEPT\n"),
                                   orders));
  EXPECT_EQ(
      show(imported),
      "10.1.0.0/23\n10.1.3.0/24\n10.1.4.0/22\n10.1.8.0/21\n10.1.16.0/20\n10.1.32.0/19\n10.1.64.0/"
      "18\n"
      "10.1.128.0/17\n10.2.0.0/16\n172.17.0.0/16\n172.18.0.0/15\n172.20.0.0/14\n172.24.0.0/13\n");
}

TEST(Import, ChainsThatLeadInACircleAreCut) {
  const auto imported = import(parse_iptables_filter(
      iptables("-A INPUT -j sub\n-A sub -j sub\n-A sub -s 192.0.2.0/24 -j ACCEPT\n"), orders));
  EXPECT_EQ(show(imported), "");
}

TEST(Import, ChainsTooDeepToFollowAreInDoubt) {
  std::string rules = "-A INPUT -j c0\n";
  for (int i = 0; i < 100'000; i++)
    rules += fmt::format(":c{} - [0:0]\n-A c{} -j c{}\n", i, i, i + 1);
  const auto imported = import(
      parse_iptables_filter(iptables(rules + ":c100000 - [0:0]\n-A c100000 -j ACCEPT\n"), orders));
  EXPECT_EQ(show(imported), "");
}

TEST(Import, MoreWaysThanCanBeFollowedAreRefused) {
  std::string rules;
  for (int i = 0; i < 40; i++) {
    rules +=
        fmt::format(":c{} - [0:0]\n-A c{} -s 10.0.{}.0/24 -j c{}\n-A c{} -j c{}\n-A c{} -j c{}\n",
                    i, i, i, i + 1, i, i + 1, i, i + 1);
  }
  const auto ruleset =
      parse_iptables_filter(iptables("-A INPUT -j c0\n:c40 - [0:0]\n" + rules), orders);
  ASSERT_TRUE(ruleset);
  EXPECT_FALSE(take_over(*ruleset, "FILE"));
}

TEST(Import, NegationsAreKept) {
  EXPECT_EQ(show(import(parse_iptables_filter(
                iptables("-A INPUT ! -s 128.0.0.0/1 ! -p udp ! -i lo -j ACCEPT\n"), orders))),
            "0.0.0.0/1\n");
  EXPECT_EQ(
      show(import_nft(nft_rule(R"({"match": {"op": "!=", "left": {"payload": {"protocol": "ip",
                "field": "saddr"}}, "right": {"prefix": {"addr": "128.0.0.0", "len": 1}}}}, {"accept": null})"))),
      "0.0.0.0/1\n");
}

TEST(Import, SetsThatAreNotThereAreLeftOut) {
  const auto imported = import_nft(nft_rule(match_source("\"@gone\"") + R"(, {"accept": null})"));
  EXPECT_EQ(show(imported), "");
  EXPECT_EQ(imported.left_out.size(), 1) << all(imported);
}

TEST(Import, EveryBaseChainHasToLetItIn) {
  const auto imported = import_nft(
      nft_rule(match_source(R"({"prefix": {"addr": "192.0.2.0", "len": 24}})") +
               R"(, {"accept": null})") +
      R"(, {"chain": {"family": "inet", "table": "u", "name": "in", "type": "filter", "hook": "input",
           "policy": "drop"}},
         {"rule": {"family": "inet", "table": "u", "chain": "in", "handle": 1, "expr": [)" +
      match_source(R"({"prefix": {"addr": "192.0.2.64", "len": 26}})") +
      R"(, {"accept": null}]}})");
  EXPECT_EQ(show(imported), "192.0.2.64/26\n");
}

TEST(Import, MoreThanADatabaseHoldsAreNamed) {
  std::string rules;
  for (int i = 0; i < 40; i++) rules += fmt::format("-A INPUT -s 10.{}.0.0/16 -j ACCEPT\n", 2 * i);
  const auto imported = import(parse_iptables_filter(iptables(rules), orders));
  EXPECT_EQ(imported.rules.size(), 30);
  EXPECT_EQ(imported.left_out.size(), 10);
}

TEST(Import, HostileFilesAreRefusedOrTakenForNothing) {
  EXPECT_FALSE(parse_nft_filter("", orders));
  EXPECT_FALSE(parse_nft_filter(std::string(1 << 20, '['), orders));
  EXPECT_FALSE(parse_nft_filter(R"({"nftables": {}})", orders));
  EXPECT_FALSE(parse_iptables_filter("*filter\n-A INPUT -j ACCEPT\n", orders)) << "cut off";
  EXPECT_FALSE(parse_iptables_filter(iptables(""), orders, "ufw-user-input"));
  EXPECT_FALSE(parse_security_group("[]", orders));
  EXPECT_EQ(show(import(parse_pg_hba(std::string("\0host\0all\n\xff\xfe host", 18)))), "");
  const auto deep =
      R"({"nftables": [{"rule": {"family": "ip", "table": "t", "chain": "in", "expr": )" +
      std::string(100'000, '[') + std::string(100'000, ']') + "}}]}";
  const auto ruleset = parse_nft_filter(deep, orders);
  ASSERT_TRUE(ruleset) << ruleset.error();
  EXPECT_FALSE(take_over(*ruleset, "FILE")) << "nothing filters there";
}

TEST(Import, LabelsDoNothingToATerminal) {
  const auto imported = import(parse_iptables_filter(
      iptables("-A INPUT -s 192.0.2.1/32 -m comment --comment \"a\x1b[2Jb\xff\" -j ACCEPT\n"),
      orders));
  EXPECT_EQ(show(imported), "192.0.2.1/32 " + printable("a\x1b[2Jb\xff") + "\n");
}

TEST(FilterBehind, SaysWhereWhatTheHostSendsMayBeDropped) {
  const auto notes = [](HostFilters filters) {
    std::ignore = find_drop_behind(filters, *parse_address("192.0.2.1"), orders);
    return filters.unread;
  };
  const std::vector<std::string> told = {
      "rules for what the host sends were not looked at: they may drop its answers"};
  const auto nft = [](const std::string& hook, const std::string& verdict) {
    return HostFilters{
        fmt::format(R"({{"nftables": [{{"chain": {{"family": "inet", "table": "t", "name": "c",
          "type": "filter", "hook": "{}", "prio": 0, "policy": "accept"}}}}, {{"rule": {{"family":
          "inet", "table": "t", "chain": "c", "handle": 2, "expr": [{{"match": {{"op": "==",
          "left": {{"payload": {{"protocol": "tcp", "field": "sport"}}}}, "right": 5432}}}},
          {{"{}": null}}]}}}}]}})",
                    hook, verdict),
        {},
        {}};
  };
  EXPECT_EQ(notes(nft("output", "drop")), told);
  EXPECT_EQ(notes(nft("postrouting", "drop")), told);
  EXPECT_TRUE(notes(nft("output", "accept")).empty());
  const auto saved = [](const std::string& lines) {
    return HostFilters{
        {}, {{"iptables-nft-save", "*filter\n:INPUT ACCEPT [0:0]\n" + lines + "COMMIT\n"}}, {}};
  };
  EXPECT_EQ(notes(saved(":OUTPUT DROP [0:0]\n")), told);
  EXPECT_TRUE(notes(saved(":OUTPUT ACCEPT [0:0]\n:own - [0:0]\n-A own -j ACCEPT\n"
                          "-A OUTPUT -j own\n"))
                  .empty());
  EXPECT_EQ(notes(saved(":OUTPUT ACCEPT [0:0]\n:own - [0:0]\n-A own -p tcp --sport 5432 -j DROP\n"
                        "-A OUTPUT -j own\n")),
            told);
}

// What the programs of this system say now, of both kinds at once.
TEST(FilterBehindAsRoot, NamesTheRuleThatDrops) {
  ASSERT_TRUE(enter_own_netns());
  const auto ask = [](const char* source) {
    auto filters = read_host_filters();
    const auto drop = find_drop_behind(filters, *parse_address(source), orders);
    EXPECT_EQ(filters.unread.size(), 0);
    return drop ? fmt::format("{}{}", drop->is_certain ? "" : "maybe ", drop->by)
                : std::string("passes");
  };
  EXPECT_EQ(ask("192.0.2.1"), "passes");
  ASSERT_TRUE(run("nft -f tests/unit/cli/import/rules.nft"));
  EXPECT_EQ(ask("203.0.113.7"), "passes");
  EXPECT_EQ(ask("203.0.113.8"), "table inet filter, chain input: policy drop");
  EXPECT_TRUE(ask("198.51.100.66").starts_with("table inet filter, chain early, handle "));
  EXPECT_TRUE(ask("10.0.0.1").starts_with("maybe ")) << "by another interface";
  ASSERT_TRUE(
      run("iptables-nft -A INPUT -p tcp -m multiport --dports 5000:6000 -s 203.0.113.7 -j REJECT"));
  EXPECT_EQ(
      ask("203.0.113.7"),
      "iptables table filter, -A INPUT -s 203.0.113.7/32 -p tcp -m multiport --dports 5000:6000 -j "
      "REJECT --reject-with icmp-port-unreachable");
}

}  // namespace
}  // namespace moat
