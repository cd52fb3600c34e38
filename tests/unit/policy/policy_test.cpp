// SPDX-License-Identifier: BSD-2-Clause
#include "control/policy/policy.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

namespace moat {
namespace {

Prefix prefix(std::string_view text) { return parse_prefix(text).value(); }
Address address(std::string_view text) { return parse_address(text).value(); }
WallTime time_at(std::string_view text) { return parse_time(text).value(); }

Rule cidr_rule(std::string id, std::string_view cidr) {
  Rule rule;
  rule.id = std::move(id);
  rule.cidr = prefix(cidr);
  return rule;
}

Rule range_rule(std::string id, std::string range) {
  Rule rule;
  rule.id = std::move(id);
  rule.managed_range = std::move(range);
  return rule;
}

Rule peering_rule(std::string id, std::string peering) {
  Rule rule;
  rule.id = std::move(id);
  rule.net_peering = std::move(peering);
  return rule;
}

NetPeering peering(std::string id, std::string_view cidr) {
  return {std::move(id), prefix(cidr), "", "", {}};
}

void add_range(Policy& policy, const std::string& id, Prefixes cidrs) {
  policy.ranges[id] = {id, "", std::make_shared<const Prefixes>(std::move(cidrs)), {}};
}

const WallTime now = time_at("2026-01-01T00:00:00Z");

// The id of the rule that gets the hit, or "" for none.
std::string hit(const Policy& policy, const Database& database, std::string_view source,
                WallTime when = now) {
  const auto match = find_match(policy, database, address(source), when);
  return match ? match->rule->id : "";
}

TEST(FindMatch, AllowsNobodyWithoutRules) { EXPECT_EQ(hit({}, {}, "192.0.2.1"), ""); }

TEST(FindMatch, TakesTheMostSpecificPrefixWhateverTheOrder) {
  Database database;
  database.rules = {cidr_rule("wide", "10.0.0.0/8"), cidr_rule("narrow", "10.1.0.0/16"),
                    cidr_rule("middle", "10.0.0.0/12"), cidr_rule("all", "0.0.0.0/0")};
  EXPECT_EQ(hit({}, database, "10.1.2.3"), "narrow");
  EXPECT_EQ(hit({}, database, "10.2.2.3"), "middle");
  EXPECT_EQ(hit({}, database, "10.200.0.0"), "wide");
  EXPECT_EQ(hit({}, database, "192.0.2.1"), "all");
}

TEST(FindMatch, EndsAtTheBordersOfAPrefix) {
  Database database;
  database.rules = {cidr_rule("office", "192.0.2.64/27")};
  EXPECT_EQ(hit({}, database, "192.0.2.63"), "");
  EXPECT_EQ(hit({}, database, "192.0.2.64"), "office");
  EXPECT_EQ(hit({}, database, "192.0.2.95"), "office");
  EXPECT_EQ(hit({}, database, "192.0.2.96"), "");
}

TEST(FindMatch, OnATieTakesCidrThenManagedRangeThenPeering) {
  Policy policy;
  add_range(policy, "mr", {prefix("10.0.0.0/8")});
  Database database;
  database.peerings = {peering("pcx", "10.0.0.0/8")};
  database.rules = {peering_rule("peering", "pcx")};
  EXPECT_EQ(hit(policy, database, "10.0.0.1"), "peering");
  database.rules.push_back(range_rule("range", "mr"));
  EXPECT_EQ(hit(policy, database, "10.0.0.1"), "range");
  database.rules.push_back(cidr_rule("cidr", "10.0.0.0/8"));
  EXPECT_EQ(hit(policy, database, "10.0.0.1"), "cidr");
}

TEST(FindMatch, LetsAPeeredNetworkInByARuleAlone) {
  Database database;
  database.peerings = {peering("pcx", "10.42.0.0/16")};
  EXPECT_EQ(hit({}, database, "10.42.0.1"), "") << "registered, and no rule";
  database.rules = {cidr_rule("part", "10.42.7.0/24")};
  EXPECT_EQ(hit({}, database, "10.42.7.1"), "part");
  EXPECT_EQ(hit({}, database, "10.42.8.1"), "");
  database.rules.push_back(peering_rule("whole", "pcx"));
  EXPECT_EQ(hit({}, database, "10.42.7.1"), "part");
  EXPECT_EQ(hit({}, database, "10.42.8.1"), "whole");
  database.rules[1].expires = now;
  EXPECT_EQ(hit({}, database, "10.42.8.1"), "");
}

TEST(FindAdmitting, FindsWhatLetsInSomeOfThePeeredNetwork) {
  Policy policy;
  add_range(policy, "mr", {prefix("10.42.9.0/24")});
  Database database;
  database.peerings = {peering("pcx", "10.42.0.0/16")};
  const auto admits = [&](Rule rule) {
    database.rules = {std::move(rule)};
    return find_admitting(policy, database, database.peerings[0], now) != nullptr;
  };
  EXPECT_TRUE(admits(peering_rule("r", "pcx")));
  EXPECT_TRUE(admits(cidr_rule("r", "10.42.7.0/24"))) << "in it";
  EXPECT_TRUE(admits(cidr_rule("r", "10.0.0.0/8"))) << "around it";
  EXPECT_TRUE(admits(range_rule("r", "mr")));
  EXPECT_FALSE(admits(cidr_rule("r", "10.43.0.0/16")));
  EXPECT_FALSE(admits(peering_rule("r", "pcx-other")));
  auto expired = peering_rule("r", "pcx");
  expired.expires = now;
  EXPECT_FALSE(admits(expired));
}

TEST(FindMatch, OnATieOfManagedRangesTakesTheFirstInTheFile) {
  Policy policy;
  add_range(policy, "mr-a", {prefix("10.0.0.0/8")});
  add_range(policy, "mr-b", {prefix("10.0.0.0/8"), prefix("10.1.0.0/16")});
  Database database;
  database.rules = {range_rule("b", "mr-b"), range_rule("a", "mr-a")};
  EXPECT_EQ(hit(policy, database, "10.0.0.1"), "b");
  database.rules = {range_rule("a", "mr-a"), range_rule("b", "mr-b")};
  EXPECT_EQ(hit(policy, database, "10.0.0.1"), "a");
  EXPECT_EQ(hit(policy, database, "10.1.0.1"), "b");
}

TEST(FindMatch, NamesThePrefixOfTheRange) {
  Policy policy;
  add_range(policy, "mr", {prefix("10.0.0.0/8"), prefix("10.1.0.0/16")});
  Database database;
  database.rules = {range_rule("range", "mr")};
  EXPECT_EQ(find_match(policy, database, address("10.1.0.1"), now)->prefix, prefix("10.1.0.0/16"));
}

TEST(FindMatch, PassesOverAManagedRangeThatIsNotThere) {
  Database database;
  database.rules = {range_rule("range", "mr-gone")};
  EXPECT_EQ(hit({}, database, "10.0.0.1"), "");
}

TEST(FindMatch, LetsARuleMatchBeforeItsTimeAndTheNextOneAfter) {
  Database database;
  database.rules = {cidr_rule("wide", "10.0.0.0/8"), cidr_rule("guest", "10.1.0.0/16")};
  database.rules[1].expires = now;
  EXPECT_EQ(hit({}, database, "10.1.0.1", now - std::chrono::seconds(1)), "guest");
  EXPECT_EQ(hit({}, database, "10.1.0.1", now), "wide");
}

struct GuardCase {
  const char* destination;
  std::uint16_t port;
  const char* database;  // "": not guarded
};

TEST(FindMatch, LetsInWhatIsHeldDownUntilItsTime) {
  Policy policy;
  add_range(policy, "mr-a", {prefix("192.0.2.0/25")});
  policy.ranges["mr-a"].held_down = {
      {now, now + std::chrono::seconds(60),
       std::make_shared<const Prefixes>(Prefixes{prefix("192.0.2.0/24")})}};
  Database database;
  database.rules = {range_rule("app", "mr-a")};
  EXPECT_EQ(hit(policy, database, "192.0.2.200"), "app");
  EXPECT_EQ(hit(policy, database, "192.0.2.200", now + std::chrono::seconds(60)), "");
  EXPECT_EQ(hit(policy, database, "192.0.2.9", now + std::chrono::seconds(60)), "app");
  const auto held = find_match(policy, database, address("192.0.2.200"), now);
  EXPECT_EQ(held->held_down_until, now + std::chrono::seconds(60));
  EXPECT_EQ(held->ends(), now + std::chrono::seconds(60));
  EXPECT_EQ(find_match(policy, database, address("192.0.2.9"), now)->ends(), std::nullopt);
  database.rules[0].expires = now + std::chrono::seconds(9);
  EXPECT_EQ(find_match(policy, database, address("192.0.2.200"), now)->ends(),
            now + std::chrono::seconds(9));
}

TEST(FindMatch, FindsForManySourcesWhatItFindsForEach) {
  Policy policy;
  add_range(policy, "mr-a", {prefix("192.0.2.0/25"), prefix("192.0.2.9/32")});
  Database database;
  database.rules = {cidr_rule("wide", "192.0.0.0/16"), range_rule("app", "mr-a")};
  const std::vector<Address> sources = {address("203.0.113.1"), address("192.0.2.9"),
                                        address("192.0.2.9"), address("192.0.200.1")};
  const auto matches = find_matches(policy, database, sources, now);
  ASSERT_EQ(matches.size(), sources.size());
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const auto alone = find_match(policy, database, sources[i], now);
    ASSERT_EQ(matches[i].has_value(), alone.has_value()) << i;
    if (alone) {
      EXPECT_EQ(matches[i]->prefix, alone->prefix) << i;
      EXPECT_EQ(matches[i]->rule, alone->rule) << i;
    }
  }
  EXPECT_TRUE(find_matches(policy, database, {}, now).empty());
}

TEST(FindGuard, TakesTheAddressBeforeTheWildcard) {
  Policy policy;
  policy.databases.resize(3);
  policy.databases[0].id = "anywhere";
  policy.databases[0].endpoint.ports = {5432, 6432};
  policy.databases[1].id = "here";
  policy.databases[1].endpoint = {address("10.0.0.5"), {5432}, false};
  policy.databases[2].id = "wholly";
  policy.databases[2].endpoint = {address("10.0.0.6"), {}, true};
  constexpr GuardCase cases[] = {
      {"10.0.0.5", 5432, "here"},   {"10.0.0.5", 6432, "anywhere"}, {"10.0.0.7", 5432, "anywhere"},
      {"10.0.0.6", 5432, "wholly"}, {"10.0.0.6", 22, "wholly"},     {"10.0.0.5", 22, ""},
  };
  for (const auto& row : cases) {
    const auto* guard = find_guard(policy, address(row.destination), row.port);
    EXPECT_EQ(guard == nullptr ? "" : guard->id, row.database)
        << row.destination << ":" << row.port;
  }
}

TEST(IsMartian, HoldsExactlyTheAddressesThatNoClientHas) {
  for (const auto* text : {"0.0.0.0", "0.255.255.255", "127.0.0.0", "127.255.255.255", "224.0.0.0",
                           "239.255.255.255", "240.0.0.0", "255.255.255.255"}) {
    EXPECT_TRUE(is_martian(address(text))) << text;
  }
  for (const auto* text : {"1.0.0.0", "126.255.255.255", "128.0.0.0", "223.255.255.255"}) {
    EXPECT_FALSE(is_martian(address(text))) << text;
  }
}

TEST(DeriveRuleIds, FollowsTheSourceAlone) {
  Database database;
  database.rules = {cidr_rule("", "192.0.2.0/24"), range_rule("", "mr-app")};
  derive_rule_ids(database);
  const auto ids = std::pair(database.rules[0].id, database.rules[1].id);

  Database changed;
  changed.rules = {range_rule("", "mr-app"), cidr_rule("", "10.0.0.0/8"),
                   cidr_rule("", "192.0.2.0/24")};
  changed.rules[0].label = "other";
  changed.rules[2].expires = now;
  derive_rule_ids(changed);
  EXPECT_EQ(std::pair(changed.rules[2].id, changed.rules[0].id), ids);
}

TEST(DeriveRuleIds, AreFnv1aOfTheSourceText) {
  Database database;
  database.rules = {range_rule("", "foobar")};  // a published test vector of FNV-1a
  derive_rule_ids(database);
  EXPECT_EQ(database.rules[0].id, "r-bf9cf968");
}

// The longer ids are of published test vectors, too.
TEST(DeriveRuleIds, AreLongerWhereAWrittenOneIsTheSame) {
  Database database;
  database.rules = {range_rule("", "foobar"), range_rule("r-bf9cf968", "a")};
  derive_rule_ids(database);
  EXPECT_EQ(database.rules[0].id, "r-85944171f73967e8");
  EXPECT_EQ(database.rules[1].id, "r-bf9cf968");

  database.rules = {range_rule("", "foobar"), range_rule("r-bf9cf968", "a"),
                    range_rule("r-85944171f73967e8", "b")};
  derive_rule_ids(database);
  EXPECT_EQ(database.rules[0].id, "r-85944171f73967e9");
}

// Two sources with one hash of 32 bits.
TEST(DeriveRuleIds, NeverGoOverFromOneSourceToAnother) {
  const auto ids_of = [](const std::vector<std::string_view>& cidrs) {
    Database database;
    for (const auto cidr : cidrs) database.rules.push_back(cidr_rule("", cidr));
    derive_rule_ids(database);
    std::map<std::string, std::string> ids;
    for (const auto& rule : database.rules) ids[rule.source()] = rule.id;
    return ids;
  };
  const std::string a = "101.171.249.7/32", b = "101.242.240.7/32", other = "192.0.2.0/24";
  const auto alone = ids_of({b, other});
  ASSERT_EQ(ids_of({a})[a], alone.at(b)) << "what this test is about";
  const auto both = ids_of({a, b, other});
  EXPECT_EQ(both, ids_of({b, other, a})) << "the order does not matter";
  EXPECT_EQ(both.at(other), alone.at(other));
  EXPECT_EQ(std::set({both.at(a), both.at(b), alone.at(b)}).size(), 3u)
      << "once A is removed, no id of A's is B's";
}

TEST(Time, IsReadAndWrittenInOneWay) {
  for (const auto* text : {"2027-01-31T18:00:00Z", "1970-01-01T00:00:00Z", "2028-02-29T23:59:59Z",
                           "9999-12-31T23:59:59Z"}) {
    EXPECT_EQ(format_time(time_at(text)), text);
  }
  EXPECT_EQ(time_at("2027-01-31T18:00:00Z").time_since_epoch().count(), 1801418400);
}

TEST(Time, IsRefusedIfItIsNoneOrNotInUtc) {
  for (const auto* text :
       {"", "tomorrow", "2027-02-29T00:00:00Z", "2027-13-01T00:00:00Z", "2027-00-01T00:00:00Z",
        "2027-01-00T00:00:00Z", "2027-01-31T24:00:00Z", "2027-01-31T23:60:00Z",
        "2027-01-31T23:59:60Z", "2027-01-31T18:00:00", "2027-01-31T18:00:00z",
        "2027-01-31 18:00:00Z", "2027-01-31T18:00:00+01:00", "2027-01-31T18:00:00.5Z",
        "2027-01-31T18:00Z", "2027-1-31T18:00:00Z", " 2027-01-31T18:00:00Z"}) {
    const auto read = parse_time(text);
    ASSERT_FALSE(read.has_value()) << text;
    EXPECT_FALSE(read.error().remedy.empty()) << text;
  }
  EXPECT_EQ(parse_time("2027-01-31").error().remedy, "write 2027-01-31T00:00:00Z");
}

TEST(Mode, IsReadBackFromItsName) {
  EXPECT_EQ(parse_mode(to_string(Mode::enforce)), Mode::enforce);
  EXPECT_EQ(parse_mode(to_string(Mode::monitor)), Mode::monitor);
  EXPECT_FALSE(parse_mode("Monitor"));
}

TEST(Policy, SaysForHowManyOfItsDatabasesNothingIsDropped) {
  Policy policy;
  EXPECT_EQ(describe_monitored(policy), "");
  policy.databases = {{.id = "orders"}, {.id = "bills"}};
  EXPECT_EQ(describe_monitored(policy), "");
  policy.databases[1].mode = Mode::monitor;
  EXPECT_EQ(describe_monitored(policy),
            " (but 1 of 2 databases in monitor mode: nothing is dropped there)");
  policy.mode = Mode::monitor;
  EXPECT_EQ(describe_monitored(policy), " (monitor mode: nothing is dropped)");
  policy.databases[0].mode = Mode::enforce;
  EXPECT_EQ(describe_monitored(policy),
            " (but 1 of 2 databases in monitor mode: nothing is dropped there)");
}

TEST(Policy, FindsADatabaseByItsId) {
  Policy policy;
  policy.databases.resize(2);
  policy.databases[0].id = "a";
  policy.databases[1].id = "b";
  EXPECT_EQ(policy.find("b"), &policy.databases[1]);
  EXPECT_EQ(policy.find("c"), nullptr);
}

TEST(FormatFault, SaysWhereWhatAndHow) {
  EXPECT_EQ(format_fault({Severity::error, {"a.yaml", 3, 5}, "no such port", "0", "1 to 65535"}),
            "a.yaml:3:5: error: no such port: \"0\" (1 to 65535)");
  EXPECT_EQ(format_fault({Severity::warning, {"a.yaml", 0, 0}, "odd", "", ""}),
            "a.yaml: warning: odd");
}

TEST(FormatFault, LeavesNoControlCharacterToATerminal) {
  EXPECT_EQ(format_fault({Severity::error, {"a", 0, 0}, "m", "x\x1b[2J\n\xe2\x80\xae", ""}),
            "a: error: m: \"x\\x1b[2J\\x0a\\xe2\\x80\\xae\"");
}

}  // namespace
}  // namespace moat
