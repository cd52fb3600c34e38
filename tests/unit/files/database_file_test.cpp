// SPDX-License-Identifier: BSD-2-Clause
// Database files, and what holds for every kind of file. The others: ranges_file_test,
// config_file_test.
#include "control/files/reading.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "control/text/input_limits.h"
#include "tests/support/fault_text.h"

namespace moat {
namespace {

const WallTime now = parse_time("2026-06-01T00:00:00Z").value();

DatabaseResult read(std::string_view text) { return read_database("f.yaml", text, now); }

const std::string head = "database: orders\nendpoint: {port: 5432}\n";  // two lines

std::string repeat(std::string_view text, std::size_t times) {
  std::string result;
  for (std::size_t i = 0; i < times; ++i) result += text;
  return result;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path << " (run in the source tree's root)";
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(ReadDatabase, ReadsTheExample) {
  const std::string path = "config/databases.d/orders.yaml";
  const auto reading = read_database(path, read_file(path), now);
  ASSERT_TRUE(reading.value) << full_text(reading.faults);
  EXPECT_TRUE(reading.faults.empty()) << full_text(reading.faults);
  const auto& database = *reading.value;
  EXPECT_EQ(database.id, "orders");
  EXPECT_EQ(database.endpoint, (Endpoint{std::nullopt, {5432}, false}));
  EXPECT_EQ(database.mode, std::nullopt);
  ASSERT_EQ(database.rules.size(), 4u);
  EXPECT_EQ(database.rules[0].source(), "198.51.100.25/32");
  EXPECT_EQ(database.rules[0].label, "My workstation");
  EXPECT_EQ(database.rules[0].place, (Place{path, 5, 5}));
  EXPECT_EQ(database.rules[1].source(), "mr-scalingo-osc-fr1");
  EXPECT_EQ(database.rules[1].cidr, std::nullopt);
  EXPECT_EQ(format_time(database.rules[2].expires.value()), "2027-01-31T18:00:00Z");
  EXPECT_EQ(database.rules[3].kind(), SourceKind::net_peering);
  EXPECT_EQ(database.rules[3].source(), "pcx-123456789");
  ASSERT_EQ(database.peerings.size(), 1u);
  EXPECT_EQ(database.peerings[0].id, "pcx-123456789");
  EXPECT_EQ(format_prefix(database.peerings[0].cidr), "10.42.0.0/16");
  EXPECT_EQ(database.peerings[0].account, "123456789012");
  EXPECT_EQ(database.peerings[0].label, "Staging");
  for (const auto& rule : database.rules) EXPECT_TRUE(rule.id.starts_with("r-")) << rule.id;
}

TEST(ReadDatabase, ReadsTheFirstDatabaseAsItIsInstalledAndWithItsExampleInUse) {
  const std::string path = "config/first-database.yaml";
  auto text = read_file(path);
  const auto installed = read_database(path, text, now);
  ASSERT_TRUE(installed.value) << full_text(installed.faults);
  EXPECT_TRUE(installed.value->rules.empty());
  const auto mark = text.find("  # {");
  ASSERT_NE(mark, std::string::npos);
  const auto in_use = read_database(path, text.erase(mark + 2, 2), now);
  ASSERT_TRUE(in_use.value) << full_text(in_use.faults);
  EXPECT_TRUE(in_use.faults.empty()) << full_text(in_use.faults);
  ASSERT_EQ(in_use.value->rules.size(), 1u);
  EXPECT_EQ(in_use.value->rules[0].label, "My workstation");
}

struct GoodCase {
  const char* name;
  std::string text;
};

TEST(ReadDatabase, TakesEachOfTheseWithoutAFault) {
  const GoodCase cases[] = {
      {"nobody", head + "rules: []\n"},
      {"no line end at the end", head + "rules: []"},
      {"carriage returns", "database: orders\r\nendpoint: {port: 5432}\r\nrules: []\r\n"},
      {"document marks", "---\n" + head + "rules: []\n...\n"},
      {"braces all over",
       R"({"database": "orders", "endpoint": {"ports": [1, 65535]}, "rules": []})"},
      {"quoted sources", head + "rules: [{cidr: '10.0.0.0/8'}, {managed-range: \"mr-1\"}]\n"},
      {"rules without indentation", head + "rules:\n- cidr: 10.0.0.0/8\n- cidr: 10.0.0.0/9\n"},
      {"a cidr of a rule and of a peering",
       head + "rules: [{cidr: 10.0.0.0/8}]\nnet-peerings: [{id: p, cidr: 10.0.0.0/8}]\n"},
      {"a rule for a peering before and after it is named, and one of the peering's id",
       "net-peerings: [{id: p, cidr: 10.0.0.0/8}, {id: q, cidr: 11.0.0.0/8, account: '042'}]\n" +
           head + "rules: [{net-peering: q}, {net-peering: p}, {id: p, managed-range: q}]\n"},
      {"16 ports", "database: orders\nendpoint:\n  ports: [1" + repeat(", 2", 1) +
                       ", 3,4,5,6,7,8,9,10,11,12,13,14,15,16]\nrules: []\n"},
      {"a wholly private address",
       "database: orders\nendpoint: {ports: all, address: 10.0.0.5}\nrules: []\n"},
      {"one that closes IPv6",
       "database: orders\nendpoint: {ports: all, address: 10.0.0.5, ipv6: closed}\nrules: []\n"},
      {"one that leaves it open",
       "database: orders\nendpoint: {ports: all, address: 10.0.0.5, ipv6: open}\nrules: []\n"},
      {"a label that must be quoted", head + "rules: [{cidr: 10.0.0.0/8, label: 'a: #b'}]\n"},
      {"an empty label", head + "rules: [{cidr: 10.0.0.0/8, label: ''}]\n"},
      {"a label in UTF-8", head + "rules: [{cidr: 10.0.0.0/8, label: B\xc3\xbcro \xe2\x98\x95}]\n"},
      {"an id of 63 characters",
       "database: " + repeat("a", 63) + "\nendpoint: {port: 1}\nrules: []\n"},
      {"a mode", head + "rules: []\nmode: monitor\n"},
      {"expectations", head + "rules: []\nexpect:\n  - allow: 10.0.3.7\n    label: standby\n"
                              "  - deny: 203.0.113.9\n"},
      {"nothing expected", head + "rules: []\nexpect: []\n"},
  };
  for (const auto& row : cases) {
    const auto reading = read(row.text);
    EXPECT_TRUE(reading.value) << row.name;
    EXPECT_EQ(full_text(reading.faults), "") << row.name;
  }
}

TEST(ReadDatabase, KnowsWhatIpv6IsToBe) {
  const auto ipv6 = [](const std::string& more) {
    const auto reading =
        read("database: a\nendpoint: {ports: all, address: 10.0.0.5" + more + "}\nrules: []\n");
    return reading.value.value().endpoint.ipv6;
  };
  EXPECT_EQ(ipv6(""), std::nullopt);
  EXPECT_EQ(ipv6(", ipv6: closed"), Ipv6::closed);
  EXPECT_EQ(ipv6(", ipv6: open"), Ipv6::open);
}

class DatabaseFault : public testing::TestWithParam<FaultCase> {};

TEST_P(DatabaseFault, IsNamedWithItsPlace) {
  const auto reading = read(GetParam().text);
  EXPECT_EQ(fault_text(reading.faults), GetParam().faults) << full_text(reading.faults);
  EXPECT_EQ(reading.value.has_value(), !has_error(reading.faults));
}

INSTANTIATE_TEST_SUITE_P(
    Bytes, DatabaseFault,
    testing::Values(
        FaultCase{"BOM", "\xef\xbb\xbf" + head + "rules: []\n", "1:1 there is a byte order mark\n"},
        FaultCase{"BOM and a fault in line 1",
                  "\xef\xbb\xbf"
                  "databse: a\nendpoint: {port: 1}\nrules: []\n",
                  "1:1 there is a byte order mark\n"
                  "1:4 a database file has no such key: databse\n"
                  "1:4 a database file has no `database`\n"},
        FaultCase{"NUL", head + "rules: []\n" + std::string(1, '\0'), "4:1 there is a NUL byte\n"},
        FaultCase{"Latin-1", head + "rules: []\n# B\xfcro\n", "4:4 not UTF-8: byte 0xfc\n"},
        FaultCase{"overlong UTF-8", head + "rules: []\n# \xc0\xaf\n", "4:3 not UTF-8: byte 0xc0\n"},
        FaultCase{"surrogate", head + "rules: []\n# \xed\xa0\x80\n", "4:3 not UTF-8: byte 0xed\n"},
        FaultCase{"cut character", head + "rules: []\n# \xe2\x98", "4:3 not UTF-8: byte 0xe2\n"},
        FaultCase{"escape character", head + "rules: []\n# \x1b[2J\n",
                  "4:3 there is a control character: byte 0x1b\n"},
        FaultCase{"the end mark of yaml-cpp's stream", head + "rules: []\n# \x04\nmode: x\n",
                  "4:3 there is a control character: byte 0x04\n5:7 no such mode: x\n"},
        FaultCase{"carriage return alone", head + "rules: []\r# old\n",
                  "3:10 there is a carriage return within a line\n"},
        FaultCase{"not UTF-8 and a fault of meaning", head + "rules: []\nmode: x # \xff\n",
                  "4:7 no such mode: x\n4:11 not UTF-8: byte 0xff\n"}));

INSTANTIATE_TEST_SUITE_P(
    Yaml, DatabaseFault,
    testing::Values(
        FaultCase{"empty", "", "1:1 the file is empty\n"},
        FaultCase{"comments only", "# nothing\n\n", "1:1 the file is empty\n"},
        FaultCase{"null document", "---\n", "1:1 the file is empty\n"},
        FaultCase{"a scalar", "orders\n", "1:1 a database file is a map: orders\n"},
        FaultCase{"a list", "- orders\n", "1:1 a database file is a map\n"},
        FaultCase{"second document", head + "rules: []\n---\ndatabase: b\n",
                  "4:1 a second document starts\n"},
        FaultCase{"empty second document", head + "rules: []\n---\n",
                  "4:1 a second document starts\n"},
        FaultCase{"anchor", head + "rules: &a []\n", "3:8 anchors are not taken: a\n"},
        FaultCase{"anchor and alias", head + "rules: &a []\nnet-peerings: *a\n",
                  "3:8 anchors are not taken: a\n4:15 aliases are not taken\n"},
        FaultCase{"alias of nothing", head + "rules: *a\n", "3:8 aliases are not taken\n"},
        FaultCase{"a cycle", head + "rules: &a [*a]\n",
                  "3:8 anchors are not taken: a\n3:12 aliases are not taken\n"},
        FaultCase{"merge key", head + "rules: &a []\n<<: *a\n",
                  "3:8 anchors are not taken: a\n4:1 a database file has no such key: <<\n"
                  "4:5 aliases are not taken\n"},
        FaultCase{"tag", head + "rules: !!seq []\n",
                  "3:8 tags are not taken: tag:yaml.org,2002:seq\n"},
        FaultCase{"tag on a scalar", head + "rules: []\nmode: ! enforce\n",
                  "4:7 tags are not taken: !\n"},
        FaultCase{"directive", "%YAML 1.2\n---\n" + head + "rules: []\n",
                  "1:1 directives are not taken: %YAML 1.2\n"},
        FaultCase{"key twice", head + "rules: []\nrules: []\n",
                  "4:1 the key is there twice: rules\n"},
        FaultCase{"key twice in braces", "database: a\nendpoint: {port: 1, port: 2}\nrules: []\n",
                  "2:21 the key is there twice: port\n"},
        FaultCase{"key twice, once quoted",
                  head + "rules:\n  - cidr: 10.0.0.0/8\n    \"cidr\": 10.0.0.0/9\n",
                  "5:5 the key is there twice: cidr\n"},
        FaultCase{"key twice in an unknown map", head + "rules: []\nx:\n  y: 1\n  y: 2\n",
                  "4:1 a database file has no such key: x\n6:3 the key is there twice: y\n"},
        FaultCase{"a list as key", head + "rules: []\n[a]: b\n", "4:1 a key is not a word\n"},
        FaultCase{"tab", head + "rules:\n\t- cidr: 10.0.0.0/8\n",
                  "4:2 not YAML: illegal block entry\n"},
        FaultCase{"open bracket", head + "rules: [\n",
                  "4:1 not YAML: end of sequence flow not found\n"},
        FaultCase{"32 levels", head + "rules: " + repeat("[", 31) + "x" + repeat("]", 31),
                  "3:9 a rule is a map\n"},
        FaultCase{"33 levels", head + "rules: " + repeat("[", 32) + "x" + repeat("]", 32),
                  "3:39 nested more than 32 levels deep\n"},
        FaultCase{"33 levels of dashes", head + "rules:\n  " + repeat("- ", 32) + "x",
                  "4:65 nested more than 32 levels deep\n"}));

std::string rules_of(std::size_t count) {
  std::string text = "rules:\n";
  for (std::size_t i = 0; i < count; ++i) text += fmt::format("  - cidr: 10.0.{}.0/24\n", i);
  return text;
}

std::string peerings_of(std::size_t count) {
  std::string text = "rules: []\nnet-peerings:\n";
  for (std::size_t i = 0; i < count; ++i) {
    text += fmt::format("  - {{id: p{0}, cidr: 10.0.{0}.0/24}}\n", i);
  }
  return text;
}

INSTANTIATE_TEST_SUITE_P(
    TheFile, DatabaseFault,
    testing::Values(
        FaultCase{"nothing said", "mode: enforce\n",
                  "1:1 a database file has no `database`\n1:1 a database file has no `endpoint`\n"
                  "1:1 a database file has no `rules`\n"},
        FaultCase{"no rules key", head, "1:1 a database file has no `rules`\n"},
        FaultCase{"rules without value", head + "rules:\n", "3:1 `rules` has no value\n"},
        FaultCase{"rules null", head + "rules: null\n", "3:1 `rules` has no value\n"},
        FaultCase{"rules commented out", head + "rules:\n#  - cidr: 10.0.0.0/8\nmode: enforce\n",
                  "3:1 `rules` has no value\n"},
        FaultCase{"rules no list", head + "rules: none\n", "3:8 `rules` is a list: none\n"},
        FaultCase{"rules a map", head + "rules: {cidr: 10.0.0.0/8}\n", "3:8 `rules` is a list\n"},
        FaultCase{"peerings without value", head + "rules: []\nnet-peerings:\n",
                  "4:1 `net-peerings` has no value\n"},
        FaultCase{"mistyped key", head + "rulse: []\nrules: []\n",
                  "3:1 a database file has no such key: rulse\n"},
        FaultCase{"capital key", head + "Rules: []\nrules: []\n",
                  "3:1 a database file has no such key: Rules\n"},
        FaultCase{"bad id", "database: Orders!\nendpoint: {port: 1}\nrules: []\n",
                  "1:11 `database` is no id: Orders!\n"},
        FaultCase{"long id", "database: " + repeat("a", 64) + "\nendpoint: {port: 1}\nrules: []\n",
                  "1:11 `database` is no id: " + repeat("a", 64) + "\n"},
        FaultCase{"id a list", "database: [a]\nendpoint: {port: 1}\nrules: []\n",
                  "1:11 `database` is a single value, not a list or map\n"},
        FaultCase{"bad mode", head + "rules: []\nmode: off\n", "4:7 no such mode: off\n"}));

TEST(ReadDatabase, ReadsWhatIsExpected) {
  const auto reading = read(head +
                            "rules: []\nexpect:\n  - allow: 10.0.3.7\n    label: standby\n"
                            "  - deny: 203.0.113.9\n");
  ASSERT_TRUE(reading.value) << full_text(reading.faults);
  const auto& expectations = reading.value->expectations;
  ASSERT_EQ(expectations.size(), 2u);
  EXPECT_TRUE(expectations[0].allowed);
  EXPECT_EQ(expectations[0].name(), "standby (10.0.3.7)");
  EXPECT_EQ(expectations[0].place, (Place{"f.yaml", 5, 5}));
  EXPECT_FALSE(expectations[1].allowed);
  EXPECT_EQ(expectations[1].name(), "203.0.113.9");
}

std::string expect(const std::string& text) { return head + "rules: []\nexpect: " + text + "\n"; }

std::string expectations_of(std::size_t count) {
  std::string text = head + "rules: []\nexpect:\n";
  for (std::size_t i = 0; i < count; ++i) text += fmt::format("  - allow: 10.0.0.{}\n", i + 1);
  return text;
}

TEST(ReadDatabase, Takes64Expectations) {
  EXPECT_TRUE(read(expectations_of(limits::expectations)).value);
}

INSTANTIATE_TEST_SUITE_P(
    WhatIsExpected, DatabaseFault,
    testing::Values(
        FaultCase{"expect without value", head + "rules: []\nexpect:\n",
                  "4:1 `expect` has no value\n"},
        FaultCase{"expect no list", expect("{allow: 10.0.0.1}"), "4:9 `expect` is a list\n"},
        FaultCase{"an expectation that is no map", expect("[10.0.0.1]"),
                  "4:10 an expectation is a map: 10.0.0.1\n"},
        FaultCase{"no source", expect("[{label: x}]"), "4:10 the expectation names no source\n"},
        FaultCase{"both", expect("[{allow: 10.0.0.1, deny: 10.0.0.2}]"),
                  "4:10 the expectation has both `allow` and `deny`\n"},
        FaultCase{"mistyped", expect("[{alow: 10.0.0.1}]"),
                  "4:10 the expectation names no source\n"
                  "4:11 an expectation has no such key: alow\n"},
        FaultCase{"a network", expect("[{allow: 10.0.0.0/24}]"),
                  "4:18 one address is expected, not a network: 10.0.0.0/24\n"},
        FaultCase{"IPv6", expect("[{deny: \"2001:db8::1\"}]"),
                  "4:17 there are no IPv6 rules: 2001:db8::1\n"},
        FaultCase{
            "leading zero", expect("[{deny: 10.0.0.01}]"),
            "4:17 " + std::string(parse_address("10.0.0.01").error().message) + ": 10.0.0.01\n"},
        FaultCase{"no client's", expect("[{allow: 127.0.0.1}]"),
                  "4:18 no client has such an address, and it is denied in any case: 127.0.0.1\n"},
        FaultCase{"twice", expect("[{allow: 10.0.0.1}, {allow: 10.0.0.1, label: x}]"),
                  "4:37 the same expectation twice: 10.0.0.1\n"},
        FaultCase{"a contradiction", expect("[{allow: 10.0.0.1}, {deny: 10.0.0.1}]"),
                  "4:36 the address is expected to be both allowed and denied: 10.0.0.1\n"},
        FaultCase{"a 65th", expectations_of(limits::expectations + 1),
                  "69:5 more than 64 expectations\n"}));

std::string endpoint(const std::string& text) {
  return "database: orders\nendpoint: " + text + "\nrules: []\n";
}

INSTANTIATE_TEST_SUITE_P(
    TheEndpoint, DatabaseFault,
    testing::Values(
        FaultCase{"no map", endpoint("5432"), "2:11 an endpoint is a map: 5432\n"},
        FaultCase{"no port", endpoint("{}"), "2:11 the endpoint has no port\n"},
        FaultCase{"port 0", endpoint("{port: 0}"), "2:18 no such port: 0\n"},
        FaultCase{"port 65536", endpoint("{port: 65536}"), "2:18 no such port: 65536\n"},
        FaultCase{"port beyond all numbers", endpoint("{port: 99999999999999999999}"),
                  "2:18 no such port: 99999999999999999999\n"},
        FaultCase{"port with leading zero", endpoint("{port: 05432}"),
                  "2:18 no such port: 05432\n"},
        FaultCase{"port in hex", endpoint("{port: 0x1538}"), "2:18 not a port: 0x1538\n"},
        FaultCase{"port by name", endpoint("{port: postgresql}"), "2:18 not a port: postgresql\n"},
        FaultCase{"negative port", endpoint("{port: -1}"), "2:18 not a port: -1\n"},
        FaultCase{"quoted port", endpoint("{port: \"5432\"}"), "2:18 the port is quoted: 5432\n"},
        FaultCase{"empty port", endpoint("{port: }"), "2:12 `port` has no value\n"},
        FaultCase{"both", endpoint("{port: 1, ports: [2]}"), "2:21 both `port` and `ports`\n"},
        FaultCase{"empty list", endpoint("{ports: []}"), "2:19 no port is named: []\n"},
        FaultCase{"ports a number", endpoint("{ports: 5432}"), "2:19 `ports` is a list: 5432\n"},
        FaultCase{"same port twice", endpoint("{ports: [1, 2, 1]}"),
                  "2:26 the same port twice: 1\n"},
        FaultCase{"18 ports", endpoint("{ports: [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18]}"),
                  "2:59 more than 16 ports: 17\n"},
        FaultCase{"all without address", endpoint("{ports: all}"),
                  "2:12 `ports: all` needs an address: all\n"},
        FaultCase{"IPv6 half open", endpoint("{ports: all, address: 10.0.0.5, ipv6: half}"),
                  "2:49 neither closed nor open: half\n"},
        FaultCase{"IPv6 by truth", endpoint("{ports: all, address: 10.0.0.5, ipv6: false}"),
                  "2:49 neither closed nor open: false\n"},
        FaultCase{"IPv6 beside named ports", endpoint("{port: 1, ipv6: closed}"),
                  "2:21 `ipv6` goes with `ports: all`: closed\n"},
        FaultCase{"short address", endpoint("{port: 1, address: 10.1}"),
                  "2:30 the address is short of octets: 10.1\n"},
        FaultCase{"network as address", endpoint("{port: 1, address: 10.0.0.0/8}"),
                  "2:30 not an IPv4 address: 10.0.0.0/8\n"},
        FaultCase{"any address", endpoint("{port: 1, address: 0.0.0.0}"),
                  "2:30 this is no host's address: 0.0.0.0\n"},
        FaultCase{"multicast address", endpoint("{port: 1, address: 224.0.0.1}"),
                  "2:30 this is no host's address: 224.0.0.1\n"}));

std::string rule(const std::string& text) { return head + "rules:\n  - {" + text + "}\n"; }

std::string two_rules(const std::string& a, const std::string& b) {
  return head + "rules:\n  - {" + a + "}\n  - {" + b + "}\n";
}

INSTANTIATE_TEST_SUITE_P(
    ARule, DatabaseFault,
    testing::Values(
        FaultCase{"no map", head + "rules: [10.0.0.0/8]\n", "3:9 a rule is a map: 10.0.0.0/8\n"},
        FaultCase{"a space forgotten", head + "rules:\n  - cidr:10.0.0.0/8\n",
                  "4:5 a rule is a map: cidr:10.0.0.0/8\n"},
        FaultCase{"an empty entry", head + "rules:\n  -\n  - cidr: 10.0.0.0/8\n",
                  "5:3 a rule is a map\n"},
        FaultCase{"no source", rule("label: x"), "4:5 the rule names no source\n"},
        FaultCase{"two sources", rule("cidr: 10.0.0.0/8, managed-range: mr"),
                  "4:5 the rule names several sources: cidr, managed-range\n"},
        FaultCase{"three sources",
                  rule("net-peering: p, cidr: 10.0.0.0/8, managed-range: mr-1") +
                      "net-peerings: [{id: p, cidr: 11.0.0.0/8}]\n",
                  "4:5 the rule names several sources: cidr, managed-range, net-peering\n"},
        FaultCase{"a peering that nobody knows", rule("net-peering: pcx-1"),
                  "4:19 unknown net peering: pcx-1\n"},
        FaultCase{"a peering misspelt, before one named twice",
                  head +
                      "rules:\n  - net-peering: pcx-11\n  - net-peering: pcx-12\n"
                      "  - net-peering: pcx-12\nnet-peerings: [{id: pcx-12, cidr: 10.0.0.0/8}]\n",
                  "4:18 unknown net peering: pcx-11\n6:18 the same source twice: pcx-12\n"},
        FaultCase{"source without value", rule("cidr: "), "4:6 `cidr` has no value\n"},
        FaultCase{"unknown key", rule("cidr: 10.0.0.0/8, lable: x"),
                  "4:24 a rule has no such key: lable\n"},
        FaultCase{"prefix length 33", rule("cidr: 10.0.0.0/33"),
                  "4:12 prefix length 33 is over 32: 10.0.0.0/33\n"},
        FaultCase{"host bits", rule("cidr: 10.0.0.1/8"), "4:12 host bits are set: 10.0.0.1/8\n"},
        FaultCase{"leading zero", rule("cidr: 010.0.0.0/8"),
                  "4:12 an octet has a leading zero: 010.0.0.0/8\n"},
        FaultCase{"bad range id", rule("managed-range: MR"), "4:21 `managed-range` is no id: MR\n"},
        FaultCase{"same cidr twice", two_rules("cidr: 10.0.0.0/8", "cidr: 10.0.0.0/8, label: x"),
                  "5:12 the same source twice: 10.0.0.0/8\n"},
        FaultCase{"same range twice", two_rules("managed-range: mr", "managed-range: mr"),
                  "5:21 the same source twice: mr\n"},
        FaultCase{"same id twice", two_rules("cidr: 10.0.0.0/8, id: a", "cidr: 10.0.0.0/9, id: a"),
                  "5:28 the same rule id twice: a\n"},
        FaultCase{"bad id", rule("cidr: 10.0.0.0/8, id: -a"), "4:28 `id` is no id: -a\n"},
        FaultCase{"label too long", rule("cidr: 10.0.0.0/8, label: " + repeat("x", 256)),
                  "4:31 `label` has 256 bytes: " + repeat("x", 120) + "...\n"},
        FaultCase{"label of two lines", rule("cidr: 10.0.0.0/8, label: \"a\\nb\""),
                  "4:31 there is a control character in `label`: a\nb\n"},
        FaultCase{"label that turns text round", rule("cidr: 10.0.0.0/8, label: \"\\u202e\""),
                  "4:31 there is a control character in `label`: \xe2\x80\xae\n"},
        FaultCase{"label null", rule("cidr: 10.0.0.0/8, label: null"),
                  "4:24 `label` has no value\n"},
        FaultCase{"no time", rule("cidr: 10.0.0.0/8, expires: tomorrow"),
                  "4:33 not a time: tomorrow\n"},
        FaultCase{"expired", rule("cidr: 10.0.0.0/8, expires: 2026-06-01T00:00:00Z"),
                  "4:33 warning: the rule has expired: 2026-06-01T00:00:00Z\n"},
        FaultCase{"not expired yet", rule("cidr: 10.0.0.0/8, expires: 2026-06-01T00:00:01Z"), ""},
        FaultCase{"everybody", rule("cidr: 0.0.0.0/0"),
                  "4:12 warning: filtering is off: every address is allowed: 0.0.0.0/0\n"},
        FaultCase{"nobody's address", rule("cidr: 127.0.0.0/8"),
                  "4:12 warning: never matches: no client has such an address: 127.0.0.0/8\n"},
        FaultCase{"nobody's first and last", rule("cidr: 0.0.0.0/1"), ""}));

INSTANTIATE_TEST_SUITE_P(
    Counts, DatabaseFault,
    testing::Values(FaultCase{"30 rules", head + rules_of(30), ""},
                    FaultCase{"31 rules", head + rules_of(31), "34:5 more than 30 rules\n"},
                    FaultCase{"40 rules", head + rules_of(40), "34:5 more than 30 rules\n"},
                    FaultCase{"16 peerings", head + peerings_of(16), ""},
                    FaultCase{"17 peerings", head + peerings_of(17),
                              "21:5 more than 16 net peerings\n"}));

INSTANTIATE_TEST_SUITE_P(
    APeering, DatabaseFault,
    testing::Values(
        FaultCase{"nothing said", head + "rules: []\nnet-peerings: [{}]\n",
                  "4:16 a net peering has no `id`\n4:16 a net peering has no `cidr`\n"},
        FaultCase{"no account",
                  head + "rules: []\nnet-peerings: [{id: p, cidr: 10.0.0.0/8, account: ''}]\n",
                  "4:51 `account` is empty\n"},
        FaultCase{
            "same id twice",
            head +
                "rules: []\nnet-peerings: [{id: p, cidr: 10.0.0.0/8}, {id: p, cidr: 11.0.0.0/8}]\n",
            "4:48 the same net peering twice: p\n"},
        FaultCase{
            "same network twice",
            head +
                "rules: []\nnet-peerings: [{id: p, cidr: 10.0.0.0/8}, {id: q, cidr: 10.0.0.0/8}]\n",
            "4:57 the same peered network twice: 10.0.0.0/8\n"},
        FaultCase{"everybody", head + "rules: []\nnet-peerings: [{id: p, cidr: 0.0.0.0/0}]\n",
                  "4:30 warning: a rule for this net peering allows every address: 0.0.0.0/0\n"}));

TEST(ReadDatabase, NamesTenFaultsOfMeaningAtOnce) {
  const auto reading = read(
      "database: Orders\n"
      "endpoint: {ports: [5432, 70000], adress: 10.0.0.5}\n"
      "rules:\n"
      "  - cidr: 010.0.0.0/8\n"
      "  - cidr: 10.1/16\n"
      "  - cidr: 10.0.0.0/33\n"
      "  - cidr: 192.0.2.70/27\n"
      "  - {cidr: 192.0.2.0/24, expires: soon}\n"
      "  - cidr: 192.0.2.0/24\n"
      "    label: twice\n"
      "mode: on\n");
  EXPECT_EQ(fault_text(reading.faults),
            "1:11 `database` is no id: Orders\n"
            "2:26 no such port: 70000\n"
            "2:34 an endpoint has no such key: adress\n"
            "4:11 an octet has a leading zero: 010.0.0.0/8\n"
            "5:11 the address is short of octets: 10.1/16\n"
            "6:11 prefix length 33 is over 32: 10.0.0.0/33\n"
            "7:11 host bits are set: 192.0.2.70/27\n"
            "8:35 not a time: soon\n"
            "9:11 the same source twice: 192.0.2.0/24\n"
            "11:7 no such mode: on\n");
  for (const auto& fault : reading.faults) EXPECT_FALSE(fault.remedy.empty()) << fault.message;
}

TEST(ReadDatabase, SaysHowToMendIt) {
  EXPECT_EQ(
      format_fault(read(head + "rulse: []\nrules: []\n").faults.at(0)),
      "f.yaml:3:1: error: a database file has no such key: \"rulse\" (did you mean `rules`?)");
  EXPECT_EQ(format_fault(read(head + "rules:\n").faults.at(0)),
            "f.yaml:3:1: error: `rules` has no value (write `rules: []` for nobody)");
  EXPECT_EQ(format_fault(read(head + rules_of(40)).faults.at(0)),
            "f.yaml:34:5: error: more than 30 rules (10 too many: merge CIDRs, or use a managed "
            "range)");
  EXPECT_EQ(format_fault(read(two_rules("cidr: 10.0.0.0/8", "cidr: 10.0.0.0/8")).faults.at(0)),
            "f.yaml:5:12: error: the same source twice: \"10.0.0.0/8\" (the first is in line 4)");
  EXPECT_EQ(format_fault(read(rule("cidr: 192.0.2.70/27")).faults.at(0)),
            "f.yaml:4:12: error: host bits are set: \"192.0.2.70/27\" (the network is "
            "192.0.2.64/27, this address alone 192.0.2.70/32)");
}

TEST(ReadDatabase, CountsTheFaultsItDoesNotPrint) {
  const auto reading = read(head + "rules: [" + repeat("x, ", limits::faults + 7) + "]\n");
  ASSERT_EQ(reading.faults.size(), limits::faults + 1);
  EXPECT_EQ(reading.faults.back().message, "8 more faults in this file");  // and the 31st rule's
  EXPECT_EQ(reading.faults.back().severity, Severity::error);
}

TEST(ReadDatabase, KeepsWarningsBehindErrors) {
  std::string text = head + "rules:\n";
  for (int i = 0; i < 120; ++i) text += fmt::format("  - cidr: 127.0.0.{}/32\n", i);
  text += "mode: x\n";
  const auto reading = read(text);
  EXPECT_NE(fault_text(reading.faults).find("124:7 no such mode: x\n"), std::string::npos);
  EXPECT_EQ(reading.faults.back().severity, Severity::warning);
}

TEST(ReadDatabase, RefusesAFileOverItsLimit) {
  const std::string padding(limits::file_bytes, '#');
  EXPECT_EQ(fault_text(read(padding + "#").faults),
            "0:0 the file has more than 16 MiB: 16777217 bytes\n");
  EXPECT_EQ(fault_text(read(padding).faults), "1:1 the file is empty\n");
}

TEST(ReadDatabase, IsNotBroughtDownByNesting) {
  for (const auto* unit :
       {"[", "{", "- ", "? ", "{a: ", "[a, ", "a: [", "- ? ", ": ", "!a ", "&a "}) {
    for (const auto& text : {repeat(unit, 100'000), head + "rules: " + repeat(unit, 100'000)}) {
      EXPECT_TRUE(has_error(read(text).faults)) << unit;
    }
  }
}

struct SalvageCase {
  const char* name;
  std::string text;
  const char* id;  // "": none
  int port;        // 0: none
};

TEST(ReadDatabase, SaysWhatABadFileIsAboutIfThatPartIsSound) {
  const SalvageCase cases[] = {
      {"bad rule", head + "rules: [{cidr: x}]\n", "orders", 5432},
      {"no rules", head, "orders", 5432},
      {"bad id", "database: X\nendpoint: {port: 5432}\nrules: []\n", "", 5432},
      {"bad port", "database: orders\nendpoint: {port: 0}\nrules: []\n", "orders", 0},
      {"unknown key in the endpoint",
       "database: orders\nendpoint: {port: 5432, adress: 10.0.0.5}\nrules: []\n", "orders", 0},
      {"endpoint twice", head + "endpoint: {port: 1}\nrules: []\n", "orders", 0},
      {"port twice", "database: orders\nendpoint: {port: 1, port: 2}\nrules: []\n", "orders", 0},
      {"database twice", head + "database: b\nrules: []\n", "", 5432},
      {"syntax error below", head + "rules: [\n", "orders", 5432},
      {"syntax error in the endpoint", "database: orders\nendpoint: {port: 5432\nrules: []\n",
       "orders", 0},
      {"second document", head + "rules: []\n---\n", "orders", 5432},
      {"Latin-1 label", head + "rules: [{cidr: 10.0.0.0/8, label: B\xfcro}]\n", "orders", 5432},
      {"BOM", "\xef\xbb\xbf" + head + "rules: []\n", "orders", 5432},
      {"NUL", head + std::string(100, '\0'), "", 0},
  };
  for (const auto& row : cases) {
    const auto reading = read(row.text);
    EXPECT_FALSE(reading.value) << row.name;
    EXPECT_EQ(reading.id.value_or(""), row.id) << row.name;
    const auto port = reading.endpoint ? reading.endpoint->ports.at(0) : 0;
    EXPECT_EQ(port, row.port) << row.name;
  }
}

// What a file cut off anywhere may be read as: nothing, or just what its bytes say. A cut can only
// take away or shorten, so the rules must be the first of the whole file's, the last perhaps cut.
TEST(ReadDatabase, ReadsACutFileAsItsBytesSayOrNotAtAll) {
  const auto whole_text = read_file("config/databases.d/orders.yaml");
  const auto whole = read(whole_text).value.value();
  std::size_t taken = 0;
  for (std::size_t cut = 0; cut <= whole_text.size(); ++cut) {
    const auto reading = read(std::string_view(whole_text).substr(0, cut));
    ASSERT_EQ(reading.value.has_value(), !has_error(reading.faults)) << cut;
    if (!reading.value) continue;
    ++taken;
    const auto& database = *reading.value;
    EXPECT_EQ(database.endpoint, whole.endpoint);
    ASSERT_LE(database.rules.size(), whole.rules.size());
    for (std::size_t i = 0; i < database.rules.size(); ++i) {
      const bool is_last = i + 1 == database.rules.size();
      const auto source = database.rules[i].source();
      if (is_last) {
        EXPECT_TRUE(whole.rules[i].source().starts_with(source)) << cut;
      } else {
        EXPECT_EQ(whole.rules[i].source(), source) << cut;
      }
    }
  }
  EXPECT_GT(taken, 1u);  // the whole file at least, and those cut after a rule
}

}  // namespace
}  // namespace moat
