// SPDX-License-Identifier: BSD-2-Clause
#include "control/os/clock.h"

#include <gtest/gtest.h>

namespace moat {
namespace {

using namespace std::chrono_literals;

TEST(ClockTest, ReadsHowFarATimeNamespaceIsAhead) {
  // As Linux writes them: the nanoseconds count up from the seconds, also of a negative offset.
  EXPECT_EQ(
      parse_monotonic_offset("monotonic           0         0\nboottime            5         0\n")
          .value(),
      0ns);
  EXPECT_EQ(parse_monotonic_offset("monotonic      100000         7\n").value(), 100000s + 7ns);
  EXPECT_EQ(parse_monotonic_offset("monotonic       -1000 999999999\n").value(), -999s - 1ns);
  for (const auto* text : {"monotonic", "monotonic 1", "monotonic one 0", "\n"}) {
    EXPECT_FALSE(parse_monotonic_offset(text)) << text;
  }
}

TEST(ClockTest, ReadsTheKernelsClocks) {
  const auto clocks = KernelClocks::open();
  ASSERT_TRUE(clocks) << clocks.error().message;
  const auto first = clocks->read();
  const auto second = clocks->read();
  EXPECT_LE(first.now.monotonic, second.now.monotonic);
  EXPECT_FALSE(first.boot.empty());
  EXPECT_EQ(first.boot, second.boot);
}

}  // namespace
}  // namespace moat
