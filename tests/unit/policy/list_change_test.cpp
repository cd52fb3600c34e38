// SPDX-License-Identifier: BSD-2-Clause
#include "control/policy/list_change.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace moat {
namespace {

Prefixes list(std::initializer_list<const char*> texts) {
  Prefixes prefixes;
  for (const auto* text : texts) prefixes.push_back(parse_prefix(text).value());
  return prefixes;
}

std::set<std::uint32_t> addresses(const Prefixes& prefixes) {
  std::set<std::uint32_t> all;
  for (const auto& prefix : prefixes)
    for (std::uint64_t at = prefix.first().value; at <= prefix.last().value; ++at)
      all.insert(static_cast<std::uint32_t>(at));
  return all;
}

TEST(ListChange, CountsAddressesHoweverAListCutsThemUp) {
  const auto change = compare_lists(list({"10.0.0.0/24"}), list({"10.0.0.128/25", "10.0.0.0/25"}));
  EXPECT_EQ(change.before, 256u);
  EXPECT_EQ(change.after, 256u);
  EXPECT_EQ(change.gained, 0u);
  EXPECT_EQ(change.lost, 0u);
  EXPECT_EQ(change.added, list({"10.0.0.0/25", "10.0.0.128/25"}));
  EXPECT_EQ(change.removed, list({"10.0.0.0/24"}));
}

TEST(ListChange, KnowsTheWholeAddressSpace) {
  const auto change = compare_lists(list({"255.255.255.255/32"}), list({"0.0.0.0/0"}));
  EXPECT_EQ(change.gained, (std::uint64_t{1} << 32) - 1);
  EXPECT_EQ(change.lost, 0u);
}

TEST(ListChange, KnowsWhatIsCovered) {
  const AddressSet halves(list({"10.0.1.0/24", "10.0.0.0/24", "10.0.4.0/25"}));
  EXPECT_TRUE(halves.holds_all_of(parse_prefix("10.0.0.0/23").value()));
  EXPECT_FALSE(halves.holds_all_of(parse_prefix("10.0.4.0/24").value()));
  EXPECT_FALSE(halves.holds_all_of(parse_prefix("255.255.255.0/24").value()));
  EXPECT_FALSE(halves.holds_all_of(parse_prefix("0.0.0.0/0").value()));
  EXPECT_TRUE(AddressSet(list({"0.0.0.0/0"})).holds_all_of(parse_prefix("0.0.0.0/0").value()));
  EXPECT_FALSE(AddressSet({}).holds_all_of(parse_prefix("10.0.0.0/32").value()));
}

// Against sets of addresses, on small networks that touch, overlap and repeat.
TEST(ListChange, AgreesWithSetsOfAddresses) {
  std::uint32_t seed = 1;
  const auto random = [&seed](std::uint32_t limit) {
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % limit;
  };
  const auto make = [&] {
    Prefixes prefixes;
    for (std::uint32_t i = 0, count = random(12); i < count; ++i)
      prefixes.push_back(
          Prefix::of(Address(0x0a000000 + random(64)), static_cast<std::uint8_t>(27 + random(6))));
    return prefixes;
  };
  for (int round = 0; round < 2'000; ++round) {
    const auto before = make(), after = make();
    const auto old_set = addresses(before), new_set = addresses(after);
    std::vector<std::uint32_t> common;
    std::ranges::set_intersection(old_set, new_set, std::back_inserter(common));
    const auto change = compare_lists(before, after);
    ASSERT_EQ(change.before, old_set.size());
    ASSERT_EQ(change.after, new_set.size());
    ASSERT_EQ(change.gained, new_set.size() - common.size());
    ASSERT_EQ(change.lost, old_set.size() - common.size());
    const AddressSet listed(after);
    for (const auto& prefix : change.removed) {
      ASSERT_EQ(listed.holds_all_of(prefix), std::ranges::includes(new_set, addresses({prefix})))
          << format_prefix(prefix);
    }
  }
}

}  // namespace
}  // namespace moat
