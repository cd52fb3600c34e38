// SPDX-License-Identifier: BSD-2-Clause
// Versions of managed ranges, one after another, and what of them is in force.
#include "control/resolve/hold_down.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "control/policy/cidrs_digest.h"
#include "control/text/input_limits.h"
#include "tests/support/resolve_stories.h"

namespace moat {
namespace {

using std::chrono::seconds;
using namespace std::chrono_literals;

constexpr WallTime start{seconds(1'800'000'000)};

class HoldDownTest : public testing::Test {
 protected:
  // The next version of the files is resolved.
  const Resolution& resolve_files() {
    const auto* last = resolution_ ? &last_ : nullptr;
    resolution_ =
        resolve(read(files_), Mode::enforce, last, {}, {}, {now_, known_.value_or(now_)}, updates_);
    last_ = resolution_->state;
    return *resolution_;
  }
  const Resolution& put(const std::string& cidrs) {
    files_.ranges["r.yaml"] = range("mr-a", cidrs);
    return resolve_files();
  }
  // Long lists, without a text.
  const Resolution& put(Prefixes cidrs) {
    auto files = read(files_);
    files.ranges.clear();
    RangeFile file{"r.yaml", {}, {}, {}};
    file.reading.value = {
        {"mr-a", "", std::make_shared<const Prefixes>(std::move(cidrs)), {"r.yaml", 1, 1}}};
    files.ranges.push_back(std::move(file));
    const auto* last = resolution_ ? &last_ : nullptr;
    resolution_ = resolve(files, Mode::enforce, last, {}, {}, {now_, now_}, updates_);
    last_ = resolution_->state;
    return *resolution_;
  }
  bool allows(const std::string& source, seconds later = 0s) const {
    const auto& policy = resolution_->state.policy;
    return find_match(policy, policy.databases.front(), parse_address(source).value(), now_ + later)
        .has_value();
  }
  const ManagedRange& mr_a() const { return resolution_->state.policy.ranges.at("mr-a"); }
  const RangeHistory& history() const { return resolution_->state.range_histories.at("mr-a"); }

  Files files_{{{"a.yaml", database("orders", "port: 5432", "[{managed-range: mr-a}]")}}, {}};
  RangeUpdates updates_{50, 3600s};
  WallTime now_ = start;
  std::optional<WallTime> known_;  // nothing: the clock is believed
  std::optional<Resolution> resolution_;
  EnforcedState last_;
};

TEST_F(HoldDownTest, WhatLeavesStaysAllowedForAWhile) {
  put("192.0.2.0/24, 198.51.100.0/24");
  now_ += 60s;
  put("192.0.2.0/24");
  EXPECT_TRUE(allows("198.51.100.7"));
  EXPECT_TRUE(allows("198.51.100.7", 3599s));
  EXPECT_FALSE(allows("198.51.100.7", 3660s)) << "a deadline is at most a minute late";
  EXPECT_TRUE(allows("192.0.2.7", 3660s));
  ASSERT_EQ(mr_a().held_down.size(), 1u);
  EXPECT_EQ(mr_a().held_down[0].since, now_);
  EXPECT_EQ(history().changed, now_);
  EXPECT_EQ(history().added, 0u);
  EXPECT_EQ(history().removed, 1u);
  now_ += 2h;
  resolve_files();
  EXPECT_TRUE(mr_a().held_down.empty());
}

TEST_F(HoldDownTest, WhatIsCoveredStillIsNotHeldDown) {
  put("192.0.2.0/25, 192.0.2.128/25");
  put("192.0.2.0/24");
  EXPECT_TRUE(mr_a().held_down.empty());
  EXPECT_EQ(history().removed, 2u);
  put("192.0.2.0/25");
  EXPECT_TRUE(allows("192.0.2.200")) << "a whole that became a half is held down";
}

TEST_F(HoldDownTest, FlapsAreCountedAndEndNothing) {
  put("192.0.2.0/24, 198.51.100.0/24");
  for (int round = 0; round < 170; ++round) {
    now_ += 10s;
    put("192.0.2.0/24");
    ASSERT_TRUE(allows("198.51.100.7")) << round;
    now_ += 10s;
    put("192.0.2.0/24, 198.51.100.0/24");
    ASSERT_TRUE(mr_a().held_down.empty()) << "what is listed is not held down";
  }
  EXPECT_EQ(history().returned, 170u);
  EXPECT_EQ(history().since, start);
}

TEST_F(HoldDownTest, AListThatNeverRestsHasFewDeadlines) {
  updates_.guard = 0;
  for (unsigned round = 0; round < 3'600; ++round) {
    put(fmt::format("10.{}.{}.0/24", round / 256, round % 256));
    now_ += 1s;
  }
  EXPECT_LE(mr_a().held_down.size(), 62u);
  EXPECT_GE(count_held_down(mr_a()), 3'500u);
  for (const auto& held : mr_a().held_down) EXPECT_TRUE(std::ranges::is_sorted(*held.cidrs));
}

TEST_F(HoldDownTest, NothingIsHeldDownWithoutASetting) {
  put("192.0.2.0/24, 198.51.100.0/24");
  updates_.hold_down = 0s;
  put("192.0.2.0/24");
  EXPECT_FALSE(allows("198.51.100.7"));
}

TEST_F(HoldDownTest, TheSettingCountsForWhatIsHeldDownAlready) {
  put("192.0.2.0/24, 198.51.100.0/24");
  put("192.0.2.0/24");
  updates_.hold_down = 60s;
  resolve_files();
  EXPECT_FALSE(allows("198.51.100.7", 62s));
  EXPECT_TRUE(allows("198.51.100.7", 59s));
  updates_.hold_down = 0s;
  resolve_files();
  EXPECT_FALSE(allows("198.51.100.7"));
}

TEST_F(HoldDownTest, WhatTheOperatorTakesAwayGoesAtOnce) {
  put("192.0.2.0/24, 198.51.100.0/24");
  put("192.0.2.0/24");
  files_.databases["a.yaml"] = database("orders", "port: 5432");
  resolve_files();
  EXPECT_FALSE(allows("198.51.100.7"));
  EXPECT_TRUE(mr_a().held_down.empty());
  files_.databases["a.yaml"] = database("orders", "port: 5432", "[{managed-range: mr-a}]");
  resolve_files();
  EXPECT_FALSE(allows("198.51.100.7")) << "nor does a new rule bring it back";
}

TEST_F(HoldDownTest, WhatNobodyWasLetInByIsNotHeldDown) {
  files_.databases["a.yaml"] = database("orders", "port: 5432");
  put("192.0.2.0/24, 198.51.100.0/24");
  files_.databases["a.yaml"] = database("orders", "port: 5432", "[{managed-range: mr-a}]");
  put("192.0.2.0/24");
  EXPECT_FALSE(allows("198.51.100.7"));
}

TEST_F(HoldDownTest, ItLastsWithItsRuleAtMost) {
  files_.databases["a.yaml"] =
      database("orders", "port: 5432",
               fmt::format("[{{managed-range: mr-a, expires: {}}}]", format_time(start + 10s)));
  put("192.0.2.0/24, 198.51.100.0/24");
  put("192.0.2.0/24");
  EXPECT_TRUE(allows("198.51.100.7", 9s));
  EXPECT_FALSE(allows("198.51.100.7", 10s));
}

TEST_F(HoldDownTest, AClockThatIsSetBackDoesNotMakeItLonger) {
  put("192.0.2.0/24, 198.51.100.0/24");
  now_ += 24h * 365;  // wrongly
  put("192.0.2.0/24");
  now_ = start + 60s;
  resolve_files();
  EXPECT_TRUE(allows("198.51.100.7", 3500s));
  EXPECT_FALSE(allows("198.51.100.7", 3720s));
}

TEST_F(HoldDownTest, AClockThatIsNotBelievedEndsNothingForGood) {
  put("192.0.2.0/24, 198.51.100.0/24");
  put("192.0.2.0/24");
  known_ = now_;
  now_ += 24h * 365;
  resolve_files();
  EXPECT_FALSE(allows("198.51.100.7")) << "as with a rule that expires";
  now_ = *known_;
  resolve_files();
  EXPECT_TRUE(allows("198.51.100.7"));
}

TEST_F(HoldDownTest, AFileThatIsHeldBackChangesNothingOfIt) {
  put("192.0.2.0/24, 198.51.100.0/24");
  put("192.0.2.0/24");
  put("192.0.2.0/33");
  EXPECT_TRUE(allows("198.51.100.7"));
  EXPECT_FALSE(allows("198.51.100.7", 3660s));
}

Prefixes many(std::size_t count, std::uint32_t first, std::uint8_t length = 32) {
  Prefixes prefixes;
  for (std::size_t i = 0; i < count; ++i)
    prefixes.push_back({Address(static_cast<std::uint32_t>(first + (i << (32 - length)))), length});
  return prefixes;
}

TEST_F(HoldDownTest, WhatIsListedComesBeforeWhatIsHeldDown) {
  updates_.guard = 0;
  put(many(600'000, 0x0a000000));
  const auto& over = put(many(600'000, 0x14000000));
  EXPECT_EQ(over.files.front().state, FileState::active);
  EXPECT_TRUE(mr_a().held_down.empty()) << "1,200,000 prefixes";
  EXPECT_EQ(over.not_held.at("mr-a"), 600'000u);
  EXPECT_EQ(history().not_held, 600'000u);
  EXPECT_TRUE(allows("20.0.0.1"));
  EXPECT_FALSE(allows("10.0.0.1"));
}

TEST_F(HoldDownTest, AMillionPrefixesThatAreWithdrawnAreHeldDown) {
  updates_.guard = 0;
  put(many(limits::prefixes, 0x0a000000));
  put(Prefixes{});
  EXPECT_EQ(count_held_down(mr_a()), limits::prefixes);
  EXPECT_TRUE(allows("10.0.0.1"));
}

// ---- guard ----

struct GuardCase {
  const char* name;
  Prefixes before;
  Prefixes after;
  bool is_too_large;
};

Prefix net(const char* text) { return parse_prefix(text).value(); }

TEST(Guard, TellsAChangeFromAMistake) {
  const auto list = [](std::size_t count) { return many(count, 0x0a000000); };
  const GuardCase cases[] = {
      {"one becomes two", {net("10.0.0.0/16")}, {net("10.0.0.0/16"), net("10.1.0.0/16")}, false},
      {"one becomes another", {net("10.0.0.1/32")}, {net("10.0.0.9/32")}, false},
      {"two become one", list(2), list(1), false},
      {"ten become 25", list(10), list(25), false},
      {"ten become 26", list(10), list(26), true},
      {"100 become 150", list(100), list(150), false},
      {"100 become 151", list(100), list(151), true},
      {"100 become 50", list(100), list(50), false},
      {"100 become 49", list(100), list(49), true},
      {"100 others", list(100), many(100, 0x14000000), true},
      {"none are left", list(1), {}, true},
      {"there were none", {}, list(1'000), false},
      {"there were none, and everybody", {}, {net("0.0.0.0/0")}, true},
      {"a third becomes half", many(90, 0x01000000, 8), many(128, 0x01000000, 8), true},
      {"half becomes more", many(128, 0x01000000, 8), many(150, 0x01000000, 8), false},
      {"everybody", {net("10.0.0.1/32")}, {net("0.0.0.0/0")}, true},
      {"a little more than /16", list(1), {net("10.0.0.0/15")}, true},
      {"cut up otherwise", {net("10.0.0.0/8")}, {net("10.0.0.0/9"), net("10.128.0.0/9")}, false},
  };
  for (const auto& row : cases) {
    const auto change = compare_lists(row.before, row.after);
    EXPECT_EQ(too_large(change, row.after, 50).has_value(), row.is_too_large) << row.name;
    EXPECT_FALSE(too_large(change, row.after, 0)) << row.name << ", off";
  }
}

TEST_F(HoldDownTest, AVersionThatChangesTooMuchIsHeldBackUntilItIsAccepted) {
  put(many(100, 0x0a000000));
  const auto& held = put(many(10, 0x0a000000));
  EXPECT_EQ(status_lines(held)[1], "r.yaml  held-back");
  EXPECT_NE(fault_text(held).find("the managed range would lose 90 of its 100 addresses, more than "
                                  "guard: 50%: \"mr-a\" (if that is meant: moat managed-ranges "
                                  "accept mr-a --digest "),
            std::string::npos)
      << fault_text(held);
  EXPECT_EQ(mr_a().cidrs->size(), 100u);
  const auto digest = held.held_versions.at("mr-a").digest;
  EXPECT_EQ(digest, cidrs_digest(many(10, 0x0a000000)));

  updates_.accepted["mr-a"] = "0123456789abcdef";
  put(many(10, 0x0a000000));
  EXPECT_EQ(mr_a().cidrs->size(), 100u) << "another version was accepted";
  updates_.accepted["mr-a"] = digest;
  put(many(9, 0x0a000000));
  EXPECT_EQ(mr_a().cidrs->size(), 100u) << "a version that came meanwhile is not";
  const auto& accepted = put(many(10, 0x0a000000));
  EXPECT_EQ(mr_a().cidrs->size(), 10u);
  EXPECT_TRUE(accepted.held_versions.empty());
  EXPECT_TRUE(allows("10.0.0.50")) << "what has left is held down even so";
}

TEST(VersionMemory, ComparesTwoListsOnceAndOthersAnew) {
  const auto range = [](Prefixes cidrs) {
    return ManagedRange{"mr-a", "", std::make_shared<const Prefixes>(std::move(cidrs)), {}};
  };
  const auto in_force = range(many(100, 0x0a000000));
  const auto version = range(many(10, 0x0a000000));
  VersionMemory memory;
  const auto* first = &memory.compare(in_force, version, 50);
  ASSERT_TRUE(*first);
  const auto* text = (*first)->change.data();
  EXPECT_EQ(memory.compare(in_force, version, 50)->change.data(), text) << "it is known";
  EXPECT_EQ(memory.compare(in_force, version, 50)->digest, cidrs_digest(*version.cidrs));
  EXPECT_FALSE(memory.compare(in_force, version, 95)) << "another guard";
  EXPECT_FALSE(memory.compare(version, version, 50)) << "it is in force by now";
  EXPECT_EQ(memory.compare(in_force, range(many(9, 0x0a000000)), 50)->prefixes, 9u);
}

TEST_F(HoldDownTest, AVersionIsHeldBackByWhatIsRememberedOfItUntilAnotherComes) {
  updates_.memory = std::make_shared<VersionMemory>();
  put(many(100, 0x0a000000));
  files_.ranges["r.yaml"] = range("mr-a", "10.0.0.0/30");
  for (int edits = 0; edits < 3; ++edits)
    EXPECT_EQ(resolve_files().held_versions.size(), 1u) << edits;
  updates_.accepted["mr-a"] = resolution_->held_versions.at("mr-a").digest;
  EXPECT_TRUE(resolve_files().held_versions.empty());
  EXPECT_EQ(mr_a().cidrs->size(), 1u);
}

TEST_F(HoldDownTest, WhatNoRuleNamesMayChangeAsItLikes) {
  files_.databases["a.yaml"] = database("orders", "port: 5432");
  put(many(100, 0x0a000000));
  put(many(1, 0x0a000000));
  EXPECT_EQ(mr_a().cidrs->size(), 1u);
}

}  // namespace
}  // namespace moat
