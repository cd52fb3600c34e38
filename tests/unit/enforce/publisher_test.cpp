// SPDX-License-Identifier: BSD-2-Clause
// Against a packet path in memory, and a state folder on disk.
#include "control/enforce/publisher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <numeric>

#include "tests/support/fake_path.h"
#include "tests/support/temporary_folder.h"

namespace moat {
namespace {

using std::chrono::seconds;

constexpr WallTime start{seconds(1'800'000'000)};

Rule rule(const std::string& cidr) {
  Rule rule;
  rule.cidr = parse_prefix(cidr).value();
  return rule;
}

Rule until(Rule rule, WallTime time) {
  rule.expires = time;
  return rule;
}

Database database(const std::string& id, std::uint16_t port, std::vector<Rule> rules) {
  Database database;
  database.id = id;
  database.endpoint.ports = {port};
  database.rules = std::move(rules);
  derive_rule_ids(database);
  return database;
}

Resolution resolution(std::vector<Database> databases) {
  Resolution resolution;
  resolution.state.policy.databases = std::move(databases);
  return resolution;
}

Resolution orders(std::vector<Rule> rules) {
  return resolution({database("orders", 5432, std::move(rules))});
}

class PublishTest : public testing::Test {
 protected:
  void SetUp() override { restart(); }

  // As a daemon does: the lock is let go, the state read again, the live table adopted.
  void restart() {
    publisher_.reset();
    store_.reset();
    auto store = StateStore::open(folder_.path());
    ASSERT_TRUE(store) << store.error().message;
    store_.emplace(std::move(*store));
    auto loaded = store_->load();
    EXPECT_TRUE(loaded.problems.empty());
    publisher_.emplace(path_, *store_, std::move(loaded.state), [this] { return clock_; });
    if (path_.table) publisher_->adopt(path_.table);
  }

  Publisher::PublishResult publish(const Resolution& wanted) {
    const auto outcome = publisher_->publish(wanted);
    EXPECT_TRUE(outcome) << outcome.error().message;
    const auto done = publisher_->finish();
    EXPECT_TRUE(done) << done.error().message;
    return outcome.value_or(Publisher::PublishResult{});
  }

  void pass(seconds time) {
    clock_.now.wall += time;
    clock_.now.monotonic += static_cast<std::uint64_t>(std::chrono::nanoseconds(time).count());
  }
  // The wall clock alone.
  void set_clock(WallTime time) { clock_.now.wall = time; }

  bool allows(const std::string& source, std::uint32_t number = 1) {
    const auto& table = path_.table;
    const auto cls = source_class(table, parse_address(source).value());
    return entry_slot(table, cls, number, clock_.now.monotonic) != 0;
  }
  std::uint16_t slot(const std::string& id, const std::string& cidr) {
    const auto* database = publisher_->enforced()->policy.find(id);
    for (const auto& entry : database->rules) {
      if (entry.source() == cidr) return publisher_->state().slots.rule(id, entry.id);
    }
    return 0;
  }

  TemporaryFolder folder_;
  FakePath path_;
  ClockReading clock_{{start, 1'000'000'000'000}, "boot", false};
  std::optional<StateStore> store_;
  std::optional<Publisher> publisher_;
};

TEST_F(PublishTest, NumbersGenerationsFromOne) {
  EXPECT_EQ(publisher_->generation(), 0U);
  EXPECT_EQ(publish(orders({rule("192.0.2.0/24")})).generation, 1U);
  EXPECT_TRUE(allows("192.0.2.9"));
  EXPECT_EQ(publish(orders({rule("198.51.100.0/24")})).generation, 2U);
  EXPECT_FALSE(allows("192.0.2.9"));
  EXPECT_TRUE(allows("198.51.100.9"));
}

TEST_F(PublishTest, LeavesAGenerationAloneThatSaysTheSame) {
  publish(orders({rule("192.0.2.0/24")}));
  auto moved = orders({rule("192.0.2.0/24")});
  moved.state.policy.databases[0].rules[0].place = {"orders.yaml", 7, 3};

  const auto outcome = publish(moved);

  EXPECT_FALSE(outcome.committed);
  EXPECT_EQ(outcome.generation, 1U);
  EXPECT_EQ(path_.published, 1U);
  EXPECT_EQ(publisher_->enforced()->policy.databases[0].rules[0].place.line, 7U);
}

TEST_F(PublishTest, CountsALabelAsAGenerationOnce) {
  publish(orders({rule("192.0.2.0/24")}));
  auto relabelled = orders({rule("192.0.2.0/24")});
  relabelled.state.policy.databases[0].rules[0].label = "Office";
  EXPECT_EQ(publish(relabelled).generation, 2U);
  EXPECT_EQ(publisher_->enforced()->policy.databases[0].rules[0].label, "Office");
  EXPECT_FALSE(publish(relabelled).committed);
  EXPECT_TRUE(allows("192.0.2.9"));
}

TEST_F(PublishTest, CountsARegisteredNetPeeringAsAGenerationThatLetsNobodyIn) {
  publish(orders({rule("192.0.2.0/24")}));
  auto registered = orders({rule("192.0.2.0/24")});
  auto& database = registered.state.policy.databases[0];
  database.peerings = {{"pcx-1", parse_prefix("10.42.0.0/16").value(), "", "", {}}};
  EXPECT_EQ(publish(registered).generation, 2U);
  EXPECT_EQ(publish(registered).generation, 2U);
  EXPECT_FALSE(allows("10.42.0.1"));

  Rule peers;
  peers.net_peering = "pcx-1";
  database.rules.push_back(peers);
  derive_rule_ids(database);
  EXPECT_EQ(publish(registered).generation, 3U);
  EXPECT_TRUE(allows("10.42.0.1"));

  database.peerings[0].cidr = parse_prefix("10.43.0.0/16").value();
  EXPECT_EQ(publish(registered).generation, 4U);
  EXPECT_FALSE(allows("10.42.0.1"));
  EXPECT_TRUE(allows("10.43.0.1"));
  restart();
  EXPECT_EQ(publish(registered).generation, 4U) << "as the state has it";
}

TEST_F(PublishTest, AdoptsWhatTheDaemonBeforeLeft) {
  publish(orders({until(rule("192.0.2.0/24"), start + seconds(3600)), rule("10.0.0.0/8")}));
  pass(seconds(60));
  restart();
  EXPECT_EQ(publisher_->generation(), 1U);

  const auto outcome =
      publish(orders({until(rule("192.0.2.0/24"), start + seconds(3600)), rule("10.0.0.0/8")}));

  EXPECT_FALSE(outcome.committed);
  EXPECT_EQ(outcome.generation, 1U);
  EXPECT_EQ(path_.published, 1U);
  EXPECT_EQ(publisher_->inspect(), std::nullopt);
}

TEST_F(PublishTest, PublishesWhatChangedWhileNoDaemonWas) {
  publish(orders({rule("192.0.2.0/24")}));
  restart();
  const auto outcome = publish(orders({rule("10.0.0.0/8")}));
  EXPECT_TRUE(outcome.committed);
  EXPECT_EQ(outcome.generation, 2U);
}

TEST_F(PublishTest, NeverUsesANumberTwice) {
  publish(orders({rule("192.0.2.0/24")}));
  publish(orders({rule("10.0.0.0/8")}));
  path_.table = {};  // a reboot: pins are gone, the state is not
  restart();
  EXPECT_EQ(publish(orders({rule("10.0.0.0/8")})).generation, 3U);
}

TEST_F(PublishTest, KeepsWhatIsEnforcedWhenTheBackendFails) {
  publish(orders({rule("192.0.2.0/24")}));
  path_.failures["publish"] = "create map: Cannot allocate memory";

  const auto outcome = publisher_->publish(orders({rule("10.0.0.0/8")}));

  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().message, "create map: Cannot allocate memory");
  EXPECT_EQ(publisher_->generation(), 1U);
  EXPECT_EQ(publisher_->enforced()->policy.databases[0].rules[0].source(), "192.0.2.0/24");
  EXPECT_TRUE(allows("192.0.2.9"));

  path_.failures.clear();
  EXPECT_EQ(publish(orders({rule("10.0.0.0/8")})).generation, 2U);
  EXPECT_TRUE(allows("10.1.2.3"));
}

TEST_F(PublishTest, PublishesAnewWhatIsNotLiveAnyMore) {
  publish(orders({rule("192.0.2.0/24")}));
  const Table ours = path_.table;
  publish(orders({rule("10.0.0.0/8")}));
  EXPECT_EQ(publisher_->inspect(), std::nullopt);
  path_.table = ours;  // somebody put the old table back

  EXPECT_NE(publisher_->inspect(), std::nullopt);
  const auto outcome = publisher_->renew(true);

  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->generation, 3U);
  EXPECT_EQ(publisher_->inspect(), std::nullopt);
  EXPECT_TRUE(allows("10.1.2.3"));
}

TEST_F(PublishTest, LeavesOutRulesThatHaveExpired) {
  publish(orders({until(rule("192.0.2.0/24"), start + seconds(100)), rule("10.0.0.0/8")}));
  EXPECT_TRUE(allows("192.0.2.9"));
  EXPECT_EQ(publisher_->next_expiry(), start + seconds(100));
  pass(seconds(99));
  EXPECT_FALSE(publisher_->is_due());
  pass(seconds(1));
  EXPECT_FALSE(allows("192.0.2.9")) << "the table needs nobody for that";
  EXPECT_TRUE(publisher_->is_due());

  ASSERT_TRUE(publisher_->renew());

  EXPECT_EQ(publisher_->generation(), 2U);
  EXPECT_EQ(path_.table.header().timed, 0U);
  EXPECT_FALSE(publisher_->is_due());
  EXPECT_EQ(publisher_->next_expiry(), std::nullopt);
  EXPECT_TRUE(allows("10.1.2.3"));
}

TEST_F(PublishTest, MovesDeadlinesWithTheWallClock) {
  publish(orders({until(rule("192.0.2.0/24"), start + seconds(1000))}));
  set_clock(start + seconds(990));
  EXPECT_TRUE(publisher_->is_due());

  ASSERT_TRUE(publisher_->renew());

  EXPECT_EQ(publisher_->generation(), 2U);
  EXPECT_TRUE(allows("192.0.2.9"));
  pass(seconds(10));
  EXPECT_FALSE(allows("192.0.2.9"));
}

TEST_F(PublishTest, RevivesNothingWhenTheClockIsSetBack) {
  const auto wanted = orders({until(rule("192.0.2.0/24"), start + seconds(100))});
  publish(wanted);
  pass(seconds(200));
  ASSERT_TRUE(publisher_->renew());
  ASSERT_FALSE(allows("192.0.2.9"));
  ASSERT_TRUE(publisher_->finish());

  set_clock(start);
  publish(wanted);
  EXPECT_FALSE(allows("192.0.2.9"));
  restart();
  publish(wanted);
  EXPECT_FALSE(allows("192.0.2.9")) << "not after a restart either";
}

TEST_F(PublishTest, AMomentAheadEndsNoRuleForGood) {
  const auto wanted = orders({until(rule("192.0.2.0/24"), start + seconds(1000))});
  publish(wanted);
  set_clock(start + std::chrono::hours(500'000));
  EXPECT_TRUE(publisher_->is_due());
  ASSERT_TRUE(publisher_->renew());
  EXPECT_FALSE(allows("192.0.2.9"));
  EXPECT_EQ(publisher_->doubtful_rules(), 1U);
  ASSERT_TRUE(publisher_->sample());
  ASSERT_TRUE(publisher_->save());

  set_clock(start);
  EXPECT_TRUE(publisher_->is_due()) << "the rule is valid again";
  ASSERT_TRUE(publisher_->renew());
  EXPECT_TRUE(allows("192.0.2.9"));
  EXPECT_FALSE(publisher_->is_due());
  restart();
  publish(wanted);
  EXPECT_TRUE(allows("192.0.2.9"));
  EXPECT_EQ(publisher_->doubtful_rules(), 0U);
}

TEST_F(PublishTest, RevivesRulesWhenSomebodyConfirmsTheClock) {
  const auto wanted = orders({until(rule("192.0.2.0/24"), start + seconds(100'000))});
  publish(wanted);
  pass(seconds(200'000));
  ASSERT_TRUE(publisher_->renew());
  set_clock(start);
  ASSERT_TRUE(publisher_->renew());
  ASSERT_FALSE(allows("192.0.2.9"));

  publisher_->confirm_clock();
  EXPECT_TRUE(publisher_->is_due());
  ASSERT_TRUE(publisher_->renew());

  EXPECT_TRUE(allows("192.0.2.9"));
  EXPECT_EQ(publisher_->expiry_time(), start);
  ASSERT_TRUE(publisher_->save());
  restart();
  publish(wanted);
  EXPECT_TRUE(allows("192.0.2.9")) << "it is kept";
}

TEST_F(PublishTest, LetsLaterRulesLiveByTheClockThatWasSetBack) {
  const auto wanted = orders({until(rule("192.0.2.0/24"), start + seconds(1000))});
  publish(wanted);
  pass(seconds(500));
  ASSERT_TRUE(publisher_->sample());
  set_clock(start);
  ASSERT_TRUE(publisher_->renew());
  pass(seconds(999));
  EXPECT_TRUE(allows("192.0.2.9"));
  pass(seconds(1));
  EXPECT_FALSE(allows("192.0.2.9"));
}

TEST_F(PublishTest, KeepsTheSlotOfARuleThatStays) {
  publish(orders({rule("192.0.2.0/24"), rule("10.0.0.0/8")}));
  const auto before = slot("orders", "10.0.0.0/8");
  publish(orders({rule("203.0.113.0/24"), rule("10.0.0.0/8")}));
  EXPECT_EQ(slot("orders", "10.0.0.0/8"), before);
  restart();
  publish(orders({rule("10.0.0.0/8"), rule("198.51.100.0/24")}));
  EXPECT_EQ(slot("orders", "10.0.0.0/8"), before);
}

TEST_F(PublishTest, CountsOfARemovedRuleGoToItsDatabase) {
  publish(orders({rule("192.0.2.0/24"), rule("10.0.0.0/8")}));
  const auto removed = slot("orders", "192.0.2.0/24");
  path_.counts[removed] = {7, 700};

  publish(orders({rule("10.0.0.0/8")}));

  EXPECT_EQ(publisher_->state().retired.at("orders").packets, 7U);
  EXPECT_EQ(publisher_->state().retired.at("orders").bytes, 700U);
  EXPECT_EQ(path_.counts[removed].packets, 0U) << "the next rule here begins at zero";
  restart();
  EXPECT_EQ(publisher_->state().retired.at("orders").packets, 7U);
}

TEST_F(PublishTest, TotalsNeverFallWhileRulesComeAndGo) {
  std::uint64_t last = 0;
  for (unsigned i = 0; i < 50; i++) {
    publish(orders({rule("10.0.0.0/8"), rule("192.0.2." + std::to_string(i) + "/32")}));
    for (const auto& entry : publisher_->state().slots.rules().in_use) {
      path_.counts[entry.second].packets += 3;
    }
    if (i % 7 == 0) restart();
    const auto& retired = publisher_->state().retired;
    auto total = retired.contains("orders") ? retired.at("orders").packets : 0;
    for (const auto& entry : publisher_->state().slots.rules().in_use) {
      total += path_.counts[entry.second].packets;
    }
    EXPECT_EQ(total, last + 6) << "at step " << i;
    last = total;
  }
}

TEST_F(PublishTest, ForgetsTheCountsOfADatabaseThatIsForgotten) {
  publish(resolution({database("orders", 5432, {rule("10.0.0.0/8")}),
                      database("shop", 5433, {rule("10.0.0.0/8")})}));
  const auto owner = publisher_->state().slots.owner("shop");
  const auto dropped = MOAT_OUTCOME_SLOT(owner, 0, MOAT_NO_RULE);
  path_.counts[dropped] = {9, 900};
  path_.counts[slot("shop", "10.0.0.0/8")] = {5, 500};

  publish(orders({rule("10.0.0.0/8")}));

  EXPECT_FALSE(publisher_->state().retired.contains("shop"));
  EXPECT_EQ(path_.counts[dropped].packets, 0U);
}

TEST_F(PublishTest, SweepsCountsThatACrashLeftOnASlotThatNobodyHas) {
  path_.counts[77] = {3, 300};
  path_.counts[MOAT_OUTCOME_SLOT(0, 0, MOAT_MALFORMED)] = {4, 400};
  publish(orders({rule("10.0.0.0/8")}));
  EXPECT_EQ(path_.counts[77].packets, 0U);
  EXPECT_EQ(path_.counts[MOAT_OUTCOME_SLOT(0, 0, MOAT_MALFORMED)].packets, 4U);
}

TEST_F(PublishTest, NotesLastHitsAndKeepsThem) {
  publish(orders({rule("192.0.2.0/24"), rule("10.0.0.0/8")}));
  ASSERT_TRUE(publisher_->sample());
  path_.counts[slot("orders", "10.0.0.0/8")].packets += 1;
  pass(seconds(10));
  ASSERT_TRUE(publisher_->sample());
  pass(seconds(10));
  ASSERT_TRUE(publisher_->sample());
  ASSERT_TRUE(publisher_->save());
  restart();

  const auto& hits = publisher_->state().last_hits;
  ASSERT_EQ(hits.size(), 1U);
  EXPECT_EQ(hits.begin()->second.time, start + seconds(10));
  ASSERT_TRUE(publisher_->sample());
  EXPECT_EQ(hits.begin()->second.time, start + seconds(10)) << "nothing new";
  restart();
  path_.counts[slot("orders", "10.0.0.0/8")].packets += 1;
  pass(seconds(10));
  ASSERT_TRUE(publisher_->sample());
  EXPECT_EQ(publisher_->state().last_hits.begin()->second.time, start + seconds(30))
      << "hits while no daemon ran are not lost";
  publish(orders({rule("192.0.2.0/24")}));
  EXPECT_TRUE(publisher_->state().last_hits.empty()) << "a removed rule's are of no use";
}

TEST_F(PublishTest, NotesSinceWhenARuleIsCounted) {
  publish(orders({rule("192.0.2.0/24")}));
  ASSERT_TRUE(publisher_->sample());
  pass(seconds(10));
  publish(orders({rule("192.0.2.0/24"), rule("10.0.0.0/8")}));
  ASSERT_TRUE(publisher_->sample());
  ASSERT_TRUE(publisher_->save());
  restart();
  pass(seconds(10));
  ASSERT_TRUE(publisher_->sample());
  std::vector<WallTime> since;
  for (const auto& [rule, time] : publisher_->state().counted_since) since.push_back(time);
  std::ranges::sort(since);
  EXPECT_EQ(since, (std::vector<WallTime>{start, start + seconds(10)}));
  publish(orders({rule("192.0.2.0/24")}));
  EXPECT_EQ(publisher_->state().counted_since.size(), 1U);
}

TEST_F(PublishTest, TellsRangesApartByContentOnly) {
  const auto with_range = [](Prefixes cidrs) {
    Rule rule;
    rule.managed_range = "mr-app";
    auto wanted = orders({rule});
    wanted.state.policy.ranges["mr-app"] = {
        "mr-app", "App", std::make_shared<const Prefixes>(std::move(cidrs)), {}};
    return wanted;
  };
  const auto app = parse_prefix("192.0.2.0/25").value();
  const auto more = parse_prefix("192.0.2.128/25").value();
  publish(with_range({app}));
  EXPECT_FALSE(publish(with_range({app})).committed);
  EXPECT_TRUE(publish(with_range({app, more})).committed);
  EXPECT_TRUE(allows("192.0.2.200"));
}

TEST_F(PublishTest, WhatIsHeldDownEndsByItselfAndOverARestart) {
  Rule rule;
  rule.managed_range = "mr-app";
  auto wanted = orders({rule});
  const auto list = [](const char* cidr) {
    return std::make_shared<const Prefixes>(Prefixes{parse_prefix(cidr).value()});
  };
  auto& range = wanted.state.policy.ranges["mr-app"];
  range = {"mr-app", "App", list("192.0.2.0/25"), {}};
  publish(wanted);
  range.held_down = {{start, start + seconds(60), list("192.0.2.128/25")}};
  EXPECT_TRUE(publish(wanted).committed);
  EXPECT_EQ(publisher_->next_expiry(), start + seconds(60));
  EXPECT_FALSE(publish(wanted).committed) << "the same verdicts";
  restart();
  EXPECT_FALSE(publish(wanted).committed) << "adopted";
  EXPECT_TRUE(allows("192.0.2.200"));
  pass(seconds(59));
  EXPECT_FALSE(publisher_->is_due());
  EXPECT_TRUE(allows("192.0.2.200"));
  pass(seconds(1));
  EXPECT_FALSE(allows("192.0.2.200")) << "the packet path ends it by itself";
  EXPECT_TRUE(publisher_->is_due());
  publisher_->observe_clock();
  ASSERT_TRUE(publisher_->renew());
  EXPECT_FALSE(publisher_->is_due());
  EXPECT_TRUE(publisher_->enforced()->policy.ranges.at("mr-app").held_down.empty());
  EXPECT_EQ(publisher_->next_expiry(), std::nullopt);
  EXPECT_TRUE(allows("192.0.2.9"));
}

TEST_F(PublishTest, LeaveForAVersionLastsUntilItIsEnforced) {
  Rule rule;
  rule.managed_range = "mr-app";
  auto wanted = orders({rule});
  auto& range = wanted.state.policy.ranges["mr-app"];
  range = {"mr-app", "App", std::make_shared<const Prefixes>(), {}};
  publish(wanted);
  const auto next =
      std::make_shared<const Prefixes>(Prefixes{parse_prefix("192.0.2.0/24").value()});
  publisher_->accept("mr-app", publisher_->digest_of(next));
  publish(wanted);
  ASSERT_TRUE(publisher_->save());
  restart();
  EXPECT_EQ(publisher_->state().accepted.at("mr-app"), publisher_->digest_of(next));
  range.cidrs = next;
  publish(wanted);
  EXPECT_TRUE(publisher_->state().accepted.empty());
}

TEST_F(PublishTest, AFailureToPublishMakesALostStateNoBetterKnown) {
  publish(orders({rule("192.0.2.0/24")}));
  std::filesystem::remove(folder_ / "state.json");
  restart();
  path_.failures["publish"] = "create map: Cannot allocate memory";
  EXPECT_FALSE(publisher_->publish(orders({rule("10.0.0.0/8")})));
  EXPECT_FALSE(publisher_->knows_policy());
  path_.failures.clear();
  const auto without = publisher_->publish(resolution({database("shop", 5433, {})}));
  ASSERT_FALSE(without) << "the live table guards a port that no file speaks for";
  EXPECT_NE(without.error().message.find("no file speaks for port 5432"), std::string::npos)
      << without.error().message;
  EXPECT_TRUE(allows("192.0.2.9"));
  publish(orders({rule("10.0.0.0/8")}));
  EXPECT_TRUE(publisher_->knows_policy());
}

TEST_F(PublishTest, EndsForgettingOnceItIsEnforced) {
  publish(orders({}));
  publisher_->forget("orders");
  path_.failures["publish"] = "create map: Cannot allocate memory";
  EXPECT_FALSE(publisher_->publish(resolution({})));
  EXPECT_TRUE(publisher_->state().forgotten.contains("orders")) << "for the next try";
  path_.failures.clear();
  publish(resolution({}));
  EXPECT_TRUE(publisher_->state().forgotten.empty());
}

}  // namespace
}  // namespace moat
