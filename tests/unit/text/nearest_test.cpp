// SPDX-License-Identifier: BSD-2-Clause
#include "control/text/nearest.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace moat {
namespace {

constexpr std::array<std::string_view, 4> names = {"rules", "endpoint", "cidr", "mode"};

TEST(Nearest, FindsAMistypedName) {
  EXPECT_EQ(nearest("rulse", names), "rules");
  EXPECT_EQ(nearest("Endpoint", names), "endpoint");
  EXPECT_EQ(nearest("end-point", names), "endpoint");
  EXPECT_EQ(nearest("cidrs", names), "cidr");
  EXPECT_EQ(nearest("mode", names), "mode");
}

TEST(Nearest, DoesNotGuess) {
  EXPECT_EQ(nearest("label", names), "");
  EXPECT_EQ(nearest("", names), "");
  EXPECT_EQ(nearest(std::string(100'000, 'x'), names), "");
  EXPECT_EQ(nearest("rules", {}), "");
}

TEST(Nearest, TakesTheFirstOfEquals) {
  constexpr std::array<std::string_view, 2> equals = {"mr-b", "mr-c"};
  EXPECT_EQ(nearest("mr-a", equals), "mr-b");
}

}  // namespace
}  // namespace moat
