// SPDX-License-Identifier: BSD-2-Clause
#include "control/state/counter_slots.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "bpf/abi.h"

namespace moat {
namespace {

Database database(const std::string& id, const std::vector<std::string>& rules) {
  Database result{id, {}, {}, {}, std::nullopt, {}};
  for (const auto& rule : rules) result.rules.push_back({rule, {}, "mr", "", {}, {}});
  return result;
}

Policy policy(const std::vector<Database>& databases) { return {Mode::enforce, databases, {}}; }

// As large as a policy can be, with ids that begin with `prefix`.
Policy full_policy(const std::string& prefix) {
  Policy result;
  for (int i = 0; i < MOAT_MAX_DATABASES; ++i) {
    std::vector<std::string> rules;
    // As a state of an earlier version may have them.
    for (int j = 0; j < MOAT_MAX_RULES + MOAT_MAX_PEERINGS; ++j)
      rules.push_back(fmt::format("r{}", j));
    result.databases.push_back(database(fmt::format("{}{}", prefix, i), rules));
  }
  return result;
}

bool folds_nothing(const Assignment& assignment) {
  return assignment.rules_to_fold.empty() && assignment.owners_to_fold.empty();
}

TEST(Slots, each_rule_has_its_own_from_1) {
  Slots slots;
  auto orders = database("orders", {"a", "b"});
  orders.peerings.push_back({"p", {}, "", "", {}});
  EXPECT_TRUE(folds_nothing(slots.assign(policy({orders, database("billing", {"a"})}))));
  const std::set<int> numbers{slots.rule("orders", "a"), slots.rule("orders", "b"),
                              slots.rule("billing", "a")};
  EXPECT_EQ(numbers, (std::set<int>{1, 2, 3}));
  EXPECT_EQ(slots.rule("orders", "p"), 0) << "registering counts nothing";
  EXPECT_EQ((std::set<int>{slots.owner("orders"), slots.owner("billing")}), (std::set<int>{1, 2}));
}

TEST(Slots, who_is_unknown_has_0) {
  const Slots slots;
  EXPECT_EQ(slots.rule("orders", "a"), 0);
  EXPECT_EQ(slots.owner("orders"), 0);
}

TEST(Slots, stay_when_others_come_and_go) {
  Slots slots;
  (void)slots.assign(policy({database("orders", {"b", "c"})}));
  const auto slot = slots.rule("orders", "c");
  const auto owner = slots.owner("orders");
  (void)slots.assign(policy({database("billing", {"x"}), database("orders", {"a", "c"})}));
  EXPECT_EQ(slots.rule("orders", "c"), slot);
  EXPECT_EQ(slots.owner("orders"), owner);
}

TEST(Slots, freed_ones_are_not_given_out_before_they_are_released) {
  Slots slots;
  (void)slots.assign(policy({database("orders", {"a"})}));
  const auto slot = slots.rule("orders", "a");
  (void)slots.assign(policy({database("orders", {"b"})}));
  EXPECT_NE(slots.rule("orders", "b"), slot);
  EXPECT_EQ(slots.rules().freed.at(slot), (SlotKey{"orders", "a"}));
  slots.release_rule(slot);
  (void)slots.assign(policy({database("orders", {"b", "c"})}));
  EXPECT_EQ(slots.rule("orders", "c"), slot);
  EXPECT_TRUE(slots.rules().freed.empty());
}

TEST(Slots, a_rule_that_comes_back_before_the_release_counts_on) {
  Slots slots;
  (void)slots.assign(policy({database("orders", {"a"})}));
  const auto before = slots;
  (void)slots.assign(policy({}));
  EXPECT_EQ(slots.rule("orders", "a"), 0);
  (void)slots.assign(policy({database("orders", {"a"})}));
  EXPECT_EQ(slots, before);
}

TEST(Slots, owners_are_freed_and_released_likewise) {
  Slots slots;
  (void)slots.assign(policy({database("orders", {})}));
  (void)slots.assign(policy({database("billing", {})}));
  EXPECT_EQ(slots.owner("billing"), 2);
  EXPECT_EQ(slots.owners().freed.at(1), "orders");
  slots.release_owner(1);
  (void)slots.assign(policy({database("billing", {}), database("new", {})}));
  EXPECT_EQ(slots.owner("new"), 1);
}

TEST(Slots, the_largest_policy_fits) {
  Slots slots;
  EXPECT_TRUE(folds_nothing(slots.assign(full_policy("db"))));
  std::set<std::uint16_t> numbers;
  for (const auto& entry : slots.rules().in_use) numbers.insert(entry.second);
  EXPECT_EQ(numbers.size(), 64u * 46u);
  EXPECT_GE(*numbers.begin(), 1);
  EXPECT_LT(*numbers.rbegin(), MOAT_RULE_SLOTS);
  EXPECT_EQ(slots.owners().in_use.size(), 64u);
}

TEST(Slots, the_largest_policy_replaced_by_another_takes_freed_ones_and_says_so) {
  Slots slots;
  (void)slots.assign(full_policy("old"));
  const auto old = slots.rules().in_use;
  const auto assignment = slots.assign(full_policy("new"));
  EXPECT_EQ(assignment.owners_to_fold.size(), 64u);
  EXPECT_EQ(assignment.rules_to_fold.size(), 2u * 64u * 46u - (MOAT_RULE_SLOTS - 1));
  for (const auto& [slot, key] : assignment.rules_to_fold) {
    EXPECT_EQ(old.at(key), slot);
    EXPECT_FALSE(slots.rules().freed.contains(slot));
  }
  for (const auto& entry : slots.rules().in_use) EXPECT_NE(entry.second, 0);
  EXPECT_EQ(slots.rules().in_use.size(), 64u * 46u);
}

}  // namespace
}  // namespace moat
