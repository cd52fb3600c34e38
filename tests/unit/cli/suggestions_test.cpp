// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/suggestions.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace moat {
namespace {

constexpr std::chrono::system_clock::time_point start{std::chrono::seconds(1'800'000'000)};

DropView drop(const std::string& source, std::uint64_t packets = 1, int later = 0) {
  DropView view;
  view.source = source;
  view.database = "orders";
  view.reason = "no-rule";
  view.packets = packets;
  view.first = start + std::chrono::seconds(later);
  view.last = start + std::chrono::seconds(later + 5);
  return view;
}

// "203.0.113.7/32 12", the packets last.
std::vector<std::string> lines(const Suggestions& found) {
  std::vector<std::string> all;
  for (const auto& suggestion : found.suggestions)
    all.push_back(fmt::format("{} {}", format_prefix(suggestion.cidr), suggestion.packets));
  return all;
}

using Lines = std::vector<std::string>;

Suggestions suggest(const std::vector<DropView>& drops, std::size_t room = 30,
                    const DatabaseView& database = {}) {
  return suggest_rules(drops, database, {}, room, [](Address) { return false; });
}

TEST(Suggest, NamesEachSourceOnceAndTheMostPacketsFirst) {
  auto again = drop("203.0.113.7", 3, 60);
  again.reason = "backstop";
  again.monitored = true;
  const auto found = suggest({drop("198.51.100.1", 5), drop("203.0.113.7", 9), again});
  EXPECT_EQ(lines(found), (Lines{"203.0.113.7/32 12", "198.51.100.1/32 5"}));
  EXPECT_EQ(found.suggestions[0].first, start);
  EXPECT_EQ(found.suggestions[0].last, start + std::chrono::seconds(65));
  EXPECT_FALSE(found.suggestions[0].monitored) << "some of them were dropped";
}

TEST(Suggest, PutsTogetherWhatIsCloseAndNeverMoreThanThat) {
  EXPECT_EQ(lines(suggest({drop("203.0.113.4"), drop("203.0.113.5"), drop("203.0.113.7")})),
            (Lines{"203.0.113.4/30 3"}));
  EXPECT_EQ(lines(suggest({drop("203.0.113.4"), drop("203.0.113.5")})),
            (Lines{"203.0.113.4/32 1", "203.0.113.5/32 1"}))
      << "two are no network";
  EXPECT_EQ(
      lines(suggest({drop("203.0.113.4"), drop("203.0.113.5"), drop("203.0.113.250")})).size(), 3u)
      << "nor are three of 256 addresses";
  std::vector<DropView> all;
  for (int octet = 0; octet < 512; octet += 2)
    all.push_back(drop(fmt::format("203.0.{}.{}", 112 + octet / 256, octet % 256)));
  EXPECT_EQ(lines(suggest(all)), (Lines{"203.0.112.0/24 128", "203.0.113.0/24 128"}));
}

TEST(Suggest, LeavesOutWhatNoRuleIsForAndCountsIt) {
  DatabaseView database;
  database.expectations.push_back({false, parse_address("203.0.113.9").value(), "", true, {}, {}});
  auto fragment = drop("203.0.113.10");
  fragment.reason = "fragment";
  auto martian = drop("127.0.0.1");
  martian.reason = "martian";
  const auto found = suggest(
      {drop("203.0.113.9"), drop("203.0.113.9"), fragment, martian, drop("2001:db8::1"), drop("")},
      30, database);
  EXPECT_TRUE(found.suggestions.empty());
  EXPECT_EQ(found.left_out,
            (std::map<std::string, std::size_t>{{"expected to be denied", 1},
                                                {"no rule lets in what is dropped as fragment", 1},
                                                {"no rule lets in what is dropped as martian", 1},
                                                {"there are no IPv6 rules", 2}}));
}

TEST(Suggest, AsksWhetherASourceIsAllowedByNow) {
  const auto found =
      suggest_rules({drop("203.0.113.9"), drop("198.51.100.1")}, {}, {}, 30,
                    [](Address source) { return source == parse_address("203.0.113.9").value(); });
  EXPECT_EQ(lines(found), (Lines{"198.51.100.1/32 1"}));
  EXPECT_EQ(found.left_out, (std::map<std::string, std::size_t>{{"allowed by now", 1}}));
}

// Of a network with a name: its id in the place of the CIDR.
std::vector<std::string> lines_by(const std::vector<NamedNetwork>& networks,
                                  const std::vector<DropView>& drops,
                                  const DatabaseView& database = {}) {
  const auto found = suggest_rules(drops, database, networks, 30, [](Address) { return false; });
  std::vector<std::string> all;
  for (const auto& each : found.suggestions)
    all.push_back(fmt::format("{} {} {}",
                              each.network ? each.network->id : format_prefix(each.cidr),
                              each.sources, each.packets));
  return all;
}

Prefix net(const char* text) { return parse_prefix(text).value(); }

TEST(Suggest, NamesANetPeeringOrAManagedRangeThatHoldsThem) {
  const std::vector<NamedNetwork> networks{
      {SourceKind::net_peering, "pcx-1", {net("10.42.0.0/16")}},
      {SourceKind::managed_range, "mr-a", {net("10.42.7.0/24"), net("203.0.113.0/24")}}};
  EXPECT_EQ(lines_by(networks, {drop("10.42.7.1", 5), drop("10.42.9.1", 2), drop("203.0.113.7", 3),
                                drop("198.51.100.1", 1)}),
            (Lines{"pcx-1 2 7", "mr-a 1 3", "198.51.100.1/32 1 1"}));
}

TEST(Suggest, NamesNoNetworkThatIsVeryLargeOrHoldsWhoIsToBeDenied) {
  DatabaseView database;
  database.expectations.push_back({false, parse_address("203.0.113.6").value(), "", true, {}, {}});
  const std::vector<NamedNetwork> networks{
      {SourceKind::managed_range, "mr-large", {net("10.0.0.0/7")}},
      {SourceKind::managed_range, "mr-denied", {net("203.0.113.0/24")}}};
  const auto of = [&](const char* end) { return drop(fmt::format("203.0.113.{}", end)); };
  EXPECT_EQ(
      lines_by(networks, {drop("10.0.0.1"), of("4"), of("5"), of("7")}, database),
      (Lines{"10.0.0.1/32 1 1", "203.0.113.4/32 1 1", "203.0.113.5/32 1 1", "203.0.113.7/32 1 1"}))
      << "nor a /30 with the one to be denied";
}

TEST(Suggest, HasNoMoreThanADatabaseMayHave) {
  std::vector<DropView> all;
  for (int i = 0; i < 40; ++i) all.push_back(drop(fmt::format("203.0.{}.1", i), 100 - i));
  const auto found = suggest(all, 28);
  EXPECT_EQ(found.suggestions.size(), 28u);
  EXPECT_EQ(found.left_out.at("a database has 30 rules at most"), 12u);
}

}  // namespace
}  // namespace moat
