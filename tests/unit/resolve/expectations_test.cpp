// SPDX-License-Identifier: BSD-2-Clause
// Versions of files, and what is expected of the rules.
#include "control/resolve/expectations.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/support/resolve_stories.h"

namespace moat {
namespace {

using std::chrono::seconds;
using namespace std::chrono_literals;

constexpr WallTime start{seconds(1'800'000'000)};

class ExpectTest : public testing::Test {
 protected:
  const Resolution& put(const std::string& rules, const std::string& expect) {
    files_.databases["a.yaml"] =
        database("orders", "port: 5432", rules) + "expect: " + expect + "\n";
    return resolve_files();
  }
  const Resolution& put_range(const std::string& cidrs) {
    files_.ranges["r.yaml"] = range("mr-a", cidrs);
    return resolve_files();
  }
  const Resolution& resolve_files() {
    const auto* last = resolution_ ? &last_ : nullptr;
    resolution_ = resolve(read(files_), Mode::enforce, last, {}, {}, {now_, now_}, {0, hold_down_});
    last_ = resolution_->state;
    return *resolution_;
  }
  FileState state_of(const std::string& path) const {
    return std::ranges::find(resolution_->files, path, &FileStatus::path)->state;
  }
  void expect_fault(const std::string& text) const {
    EXPECT_NE(fault_text(*resolution_).find(text), std::string::npos) << text << "\nis not in\n"
                                                                      << fault_text(*resolution_);
  }

  Files files_;
  WallTime now_ = start;
  seconds hold_down_{0};
  std::optional<Resolution> resolution_;
  EnforcedState last_;
};

const std::string standby = "[{allow: 10.0.3.7, label: standby}]";

TEST_F(ExpectTest, AVersionThatBreaksOneIsHeldBack) {
  put("[{cidr: 10.0.3.0/24}, {cidr: 192.0.2.1/32}]", standby);
  EXPECT_EQ(state_of("a.yaml"), FileState::active) << fault_text(*resolution_);
  put("[{cidr: 192.0.2.1/32}]", standby);
  EXPECT_EQ(state_of("a.yaml"), FileState::held_back);
  EXPECT_EQ(policy_lines(*resolution_)[0], "orders port 5432: 10.0.3.0/24, 192.0.2.1/32");
  expect_fault("a.yaml:4:10: error: standby (10.0.3.7) would be denied since rule r-");
  expect_fault("(a.yaml:3) went: \"10.0.3.7\"");
  put("[{cidr: 192.0.2.1/32}]", "[]");
  EXPECT_EQ(state_of("a.yaml"), FileState::active) << "with the expectation it may go";
}

TEST_F(ExpectTest, WhatWouldLetInWhomItShouldNotIsHeldBack) {
  put("[{cidr: 192.0.2.1/32}]", "[{deny: 203.0.113.9}]");
  put("[{cidr: 192.0.2.1/32}, {cidr: 203.0.113.0/24}]", "[{deny: 203.0.113.9}]");
  EXPECT_EQ(state_of("a.yaml"), FileState::held_back);
  expect_fault("203.0.113.9 would be allowed by 203.0.113.0/24 of rule r-");
}

TEST_F(ExpectTest, AtAFirstStartWhatDoesNotHoldIsGuardedAndNobodyAllowed) {
  put("[{cidr: 192.0.2.1/32}]", standby);
  EXPECT_EQ(policy_lines(*resolution_)[0], "orders port 5432: placeholder");
  expect_fault("standby (10.0.3.7) would be denied, as no rule lets it in");
}

TEST_F(ExpectTest, TellsAllOfAFileAtOnce) {
  put("[]", "[{allow: 10.0.3.7}, {allow: 10.0.3.8}]");
  expect_fault("10.0.3.7 would be denied");
  expect_fault("10.0.3.8 would be denied");
}

TEST_F(ExpectTest, AVersionOfAManagedRangeThatBreaksOneIsHeldBackItself) {
  put_range("10.0.3.0/24, 192.0.2.0/24");
  put("[{managed-range: mr-a}]", standby);
  ASSERT_EQ(state_of("a.yaml"), FileState::active) << fault_text(*resolution_);
  for (const auto held : {0s, 3600s}) {
    hold_down_ = held;
    put_range("192.0.2.0/24");
    EXPECT_EQ(state_of("r.yaml"), FileState::held_back) << "with hold-down " << held.count();
    EXPECT_EQ(state_of("a.yaml"), FileState::active);
    EXPECT_EQ(range_lines(*resolution_)[0], "mr-a: 10.0.3.0/24, 192.0.2.0/24");
    expect_fault(
        "r.yaml:1:3: error: database orders expects standby (10.0.3.7) to be allowed (a.yaml:4), "
        "and it would be denied, as 10.0.3.0/24 has left the managed range: \"mr-a\"");
  }
  put_range("10.0.3.0/25");
  EXPECT_EQ(state_of("r.yaml"), FileState::active) << "it lets it in still";
}

TEST_F(ExpectTest, AManagedRangeThatLetsInWhomItShouldNotIsHeldBackItself) {
  put_range("192.0.2.0/24");
  put("[{managed-range: mr-a}]", "[{deny: 203.0.113.9}]");
  put_range("192.0.2.0/24, 203.0.113.0/24");
  EXPECT_EQ(state_of("r.yaml"), FileState::held_back);
  expect_fault("to be denied (a.yaml:4), and 203.0.113.0/24 of the managed range would let it in");
}

TEST_F(ExpectTest, ARuleThatAlsoLetsItInMakesTheRangeFree) {
  put_range("10.0.3.0/24");
  put("[{managed-range: mr-a}, {cidr: 10.0.0.0/16}]", standby);
  put_range("192.0.2.0/24");
  EXPECT_EQ(state_of("r.yaml"), FileState::active);
}

// The file of the database can no longer be read: what it said is in force, and so is what it
// expects.
TEST_F(ExpectTest, WhatAFileExpectedCountsWhileItIsHeldBack) {
  put_range("10.0.3.0/24");
  put("[{managed-range: mr-a}]", standby);
  files_.databases["a.yaml"] = "database: [\n";
  put_range("192.0.2.0/24");
  EXPECT_EQ(state_of("r.yaml"), FileState::held_back);
}

TEST_F(ExpectTest, TimeHoldsNothingBack) {
  const auto rules = fmt::format("[{{cidr: 10.0.3.0/24, expires: {}}}, {{cidr: 192.0.2.1/32}}]",
                                 format_time(start + 60s));
  put(rules, standby);
  EXPECT_EQ(state_of("a.yaml"), FileState::active);
  expect_fault("a.yaml:4:10: warning: standby (10.0.3.7) is allowed until " +
               format_time(start + 60s) + " alone, when rule r-");
  now_ += 120s;
  resolve_files();
  EXPECT_EQ(state_of("a.yaml"), FileState::active);
  files_.databases["a.yaml"] += "mode: monitor\n";
  resolve_files();
  EXPECT_EQ(state_of("a.yaml"), FileState::active) << "the file may change all the same";
  const auto& policy = resolution_->state.policy;
  const auto outlooks = judge_expectations(policy, policy.databases[0], now_);
  ASSERT_EQ(outlooks.size(), 1u);
  EXPECT_FALSE(outlooks[0].holds);
}

TEST_F(ExpectTest, AnEndBehindWhichAnotherRuleStandsIsNone) {
  put(fmt::format("[{{cidr: 10.0.3.7/32, expires: {}}}, {{cidr: 10.0.3.0/24, expires: {}}}, "
                  "{{cidr: 10.0.0.0/16}}]",
                  format_time(start + 60s), format_time(start + 120s)),
      standby);
  EXPECT_EQ(fault_text(*resolution_).find("alone"), std::string::npos) << fault_text(*resolution_);
  put(fmt::format("[{{cidr: 10.0.3.7/32, expires: {}}}, {{cidr: 10.0.3.0/24, expires: {}}}]",
                  format_time(start + 60s), format_time(start + 120s)),
      standby);
  expect_fault("until " + format_time(start + 120s) + " alone");
}

TEST_F(ExpectTest, WhatIsHeldDownIsToldAsAnEnd) {
  hold_down_ = 3600s;
  put_range("10.0.3.0/24, 192.0.2.0/24");
  put("[{managed-range: mr-a}]", "[]");
  put_range("192.0.2.0/24");
  const auto& policy = resolution_->state.policy;
  auto orders = policy.databases[0];
  orders.expectations.push_back({true, parse_address("10.0.3.7").value(), "", {}});
  const auto outlooks = judge_expectations(policy, orders, now_);
  EXPECT_TRUE(outlooks[0].holds);
  EXPECT_EQ(outlooks[0].by, "the hold-down of 10.0.3.0/24 in mr-a");
  put("[{managed-range: mr-a}]", standby);
  EXPECT_EQ(state_of("a.yaml"), FileState::held_back) << "nor may one begin on it";
}

}  // namespace
}  // namespace moat
