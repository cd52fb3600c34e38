// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/fleet_push.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace moat {
namespace {

using Lines = std::vector<std::string>;

FleetContent content(std::map<std::string, std::string> databases) {
  return {.databases = std::move(databases)};
}

std::vector<std::string> hosts(unsigned count) {
  std::vector<std::string> names;
  for (unsigned i = 0; i < count; ++i) names.push_back(fmt::format("db{:05}", i));
  return names;
}

TEST(FleetPush, SaysWhatChanges) {
  const auto push =
      plan_push(content({{"a", "1"}, {"b", "1"}, {"c", "1"}}),
                content({{"a", "1"}, {"b", "2"}, {"c", std::string(tombstone)}, {"d", "1"}}));
  ASSERT_TRUE(push);
  EXPECT_EQ(describe_push(*push),
            (Lines{"databases/b  changed", "databases/c  removed", "databases/d  added"}));
}

TEST(FleetPush, WhatIsAbsentIsNotRemoved) {
  const auto push = plan_push(content({{"a", "1"}, {"b", "1"}}), content({{"a", "1"}}));
  ASSERT_FALSE(push);
  EXPECT_EQ(push.error().message, "the fleet has databases/b, and the folder does not");
  EXPECT_TRUE(
      plan_push(content({{"a", "1"}, {"b", std::string(tombstone)}}), content({{"a", "1"}})));
}

TEST(FleetPush, LabelsThatAreTakenAwayAreEmpty) {
  FleetContent stored{.databases = {{"a", "1"}}, .labels = {{"a", "eu\n"}}};
  const auto push = plan_push(stored, content({{"a", "1"}}));
  ASSERT_TRUE(push);
  EXPECT_EQ(push->after.at("labels/a"), "");
}

// Push 2 has changed a, added b and removed c; nobody has confirmed it.
TEST(FleetPush, AfterALapseTheStoreBecomesWhatHostsHaveAndTheFolderSays) {
  const std::string gone(tombstone);
  const auto stored = content({{"a", "2"}, {"b", "1"}, {"c", gone}});
  const FleetValues before = {
      {"databases/a", "1"}, {"databases/b", std::nullopt}, {"databases/c", "1"}};
  const auto same = plan_push_after_lapse(stored, before, content({{"a", "1"}, {"c", "1"}}));
  ASSERT_TRUE(same);
  EXPECT_EQ(describe_push(*same), Lines{}) << "hosts have it already";
  EXPECT_EQ(same->after,
            (FleetValues{{"databases/a", "1"}, {"databases/b", gone}, {"databases/c", "1"}}));
  const auto again =
      plan_push_after_lapse(stored, before, content({{"a", "2"}, {"b", "1"}, {"c", gone}}));
  ASSERT_TRUE(again);
  EXPECT_EQ(describe_push(*again),
            (Lines{"databases/a  changed", "databases/b  added", "databases/c  removed"}));
  EXPECT_EQ(again->before.at("databases/a"), "1");
  EXPECT_EQ(plan_push_after_lapse(stored, before, content({{"a", "1"}})).error().message,
            "the fleet has databases/c, and the folder does not");
}

TEST(FleetPush, GoesBackOverSeveralPushes) {
  std::vector<FleetPush> history;
  history.push_back(
      {.push = 1, .before = {{"databases/a", std::nullopt}}, .after = {{"databases/a", "1"}}});
  history.push_back({.push = 2, .before = {{"databases/a", "1"}}, .after = {{"databases/a", "2"}}});
  history.push_back({.push = 3,
                     .before = {{"databases/a", "2"}, {"databases/b", std::nullopt}},
                     .after = {{"databases/a", "3"}, {"databases/b", "1"}}});
  const auto back = plan_rollback(history, 1);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->after.at("databases/a"), "1");
  EXPECT_EQ(back->before.at("databases/a"), "3");
  EXPECT_EQ(back->after.at("databases/b"), tombstone);
  EXPECT_FALSE(plan_rollback(history, 3));
  EXPECT_FALSE(plan_rollback(history, 7));
  EXPECT_FALSE(plan_rollback({}, 1));
}

TEST(FleetPush, ReadsStages) {
  EXPECT_EQ(parse_stages("1%,10%,100%").value(), (std::vector<unsigned>{100, 1000, 10'000}));
  EXPECT_EQ(parse_stages("0.5%,100%").value(), (std::vector<unsigned>{50, 10'000}));
  for (const auto* none :
       {"", "10%", "100", "0%,100%", "10%,5%,100%", "101%", "x%,100%", "-1%,100%"})
    EXPECT_FALSE(parse_stages(none)) << none;
}

TEST(FleetPush, AShareIsThatPartOfTheHostsAndOneAtLeast) {
  for (const unsigned count : {1U, 4U, 10U, 1000U, 10'000U}) {
    const auto names = hosts(count);
    for (const unsigned part : {100U, 1000U, 2500U, 10'000U}) {
      const auto share = share_for(names, 7, part);
      const auto taking = static_cast<unsigned>(std::ranges::count_if(
          names, [&](const auto& host) { return position_of(host, 7) < share; }));
      const auto wanted = std::max(1U, (count * part + 9999) / 10'000);
      EXPECT_GE(taking, wanted) << count << " " << part;
      EXPECT_LE(taking, wanted + wanted / 100 + 1) << count << " " << part;
    }
  }
}

TEST(FleetPush, OtherHostsGoFirstEachTime) {
  const auto names = hosts(100);
  std::map<std::string, unsigned> first;
  for (std::uint64_t push = 1; push <= 50; ++push) {
    const auto share = share_for(names, push, 100);
    for (const auto& host : names) first[host] += position_of(host, push) < share;
  }
  const auto most =
      std::ranges::max_element(first, {}, [](const auto& entry) { return entry.second; });
  EXPECT_LE(most->second, 5U);
}

TEST(FleetProgress, CountsThoseThatEnforceThisPush) {
  const FleetHead head{.push = 4};
  const std::vector<FleetReceipt> receipts = {
      {.host = "a", .push = 4, .latency_us = 2000, .ended_sessions = 2},
      {.host = "b", .push = 3},
      {.host = "c", .push = 4, .problem = "moatd: no"},
      {.host = "e", .push = 4, .latency_us = 1000}};
  const auto progress = progress_of(head, hosts_of({"a", "b", "c", "d"}, receipts), receipts);
  EXPECT_EQ(progress.hosts, 5U);
  EXPECT_EQ(progress.enforced, 2U);
  EXPECT_EQ(progress.missing, (Lines{"b", "d"}));
  EXPECT_EQ(progress.failed, (Lines{"c: moatd: no"}));
  EXPECT_EQ(progress.latencies, (std::vector<std::uint64_t>{1000, 2000}));
  EXPECT_EQ(progress.ended_sessions, 2U);
  EXPECT_FALSE(progress.is_done());
}

TEST(FleetKeys, ManyHostsDoNotWriteTheirReceiptsAtOnce) {
  using namespace std::chrono_literals;
  const auto longest = [](std::uint64_t count) {
    auto most = 0ms;
    for (const auto& host : hosts(100))
      most = std::max(most, receipt_delay(host, {.push = 3, .host_count = count}));
    return most;
  };
  EXPECT_EQ(longest(0), 0ms);
  EXPECT_LE(longest(10), 5ms);
  EXPECT_LE(longest(10'000), 5s);
  EXPECT_GE(longest(10'000), 4s);
  EXPECT_LE(longest(~std::uint64_t{0}), 20s);
}

TEST(FleetKeys, AreReadAsTheyAreWritten) {
  const FleetHead head{.push = 7, .author = "ada", .share = 5, .epoch = 9, .host_count = 1};
  const auto read = parse_head(to_json(head));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->push, 7U);
  EXPECT_EQ(read->share, 5U);
  EXPECT_EQ(read->host_count, 1U);
  EXPECT_EQ(parse_hosts(to_json(Lines{"a", "b"})).value(), (Lines{"a", "b"}));
  EXPECT_FALSE(parse_hosts("[1]"));
  EXPECT_FALSE(parse_hosts("{"));
  const FleetPush push{
      .push = 2, .before = {{"databases/a", std::nullopt}}, .after = {{"databases/a", "x"}}};
  const auto again = parse_push(to_json(push));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->before, push.before);
  EXPECT_EQ(again->after, push.after);
  EXPECT_FALSE(parse_head("{\"push\": -1}"));
}

}  // namespace
}  // namespace moat
