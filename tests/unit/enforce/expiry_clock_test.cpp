// SPDX-License-Identifier: BSD-2-Clause
#include "control/enforce/expiry_clock.h"

#include <gtest/gtest.h>

namespace moat {
namespace {

using namespace std::chrono_literals;
using Course = ExpiryClock::Course;

constexpr WallTime start{1'800'000'000s};

class ExpiryClockTest : public testing::Test {
 protected:
  ExpiryClockTest() { clock_.observe(reading_); }

  // In steps, as a daemon looks.
  void pass(std::chrono::seconds time) {
    for (auto left = time; left > 0s; left -= 10s) {
      const auto step = std::min<std::chrono::seconds>(left, 10s);
      advance(step);
      clock_.observe(reading_);
    }
  }
  void advance(std::chrono::seconds time) {
    reading_.now.wall += time;
    reading_.now.monotonic += static_cast<std::uint64_t>(std::chrono::nanoseconds(time).count());
  }
  void set_ahead(std::chrono::seconds by) {
    reading_.now.wall += by;
    clock_.observe(reading_);
  }
  void set_back(std::chrono::seconds by) { set_ahead(-by); }
  void restart() {
    clock_ = ExpiryClock(clock_.latest());
    clock_.observe(reading_);
  }
  void reboot(std::chrono::seconds off) {
    reading_.now.wall += off;
    reading_.now.monotonic = 20'000'000'000;
    reading_.boot = "another";
    restart();
  }
  [[nodiscard]] WallTime latest() const { return clock_.latest().time; }
  [[nodiscard]] WallTime now() const { return clock_.now(reading_); }
  [[nodiscard]] Course course() const { return clock_.standing().course; }

  ClockReading reading_{{start, 1'000'000'000'000}, "one", false};
  ExpiryClock clock_{LatestTime{}};
};

TEST_F(ExpiryClockTest, FollowsAClockThatGoesOn) {
  EXPECT_EQ(latest(), start) << "the first time of all is believed";
  pass(3h);
  EXPECT_EQ(latest(), start + 3h);
  advance(10h);  // nobody looked
  EXPECT_TRUE(clock_.observe(reading_));
  EXPECT_EQ(latest(), start + 13h);
  EXPECT_EQ(course(), Course::believed);
  EXPECT_FALSE(clock_.observe(reading_)) << "nothing new to keep";
}

TEST_F(ExpiryClockTest, TakesAnyTimeThatWasKept) {
  for (const auto& [time, monotonic] :
       {std::pair(WallTime::max(), std::chrono::nanoseconds::max()),
        std::pair(WallTime::min(), std::chrono::nanoseconds::min()),
        std::pair(parse_time("9999-12-31T23:59:59Z").value(), std::chrono::nanoseconds(0))}) {
    clock_ = ExpiryClock(LatestTime{time, "one", monotonic});
    clock_.observe(reading_);
    EXPECT_GE(now(), start);
  }
}

TEST_F(ExpiryClockTest, AMomentAheadLeavesNoTrace) {
  set_ahead(500'000h);
  EXPECT_EQ(course(), Course::ahead);
  EXPECT_EQ(now(), start + 500'000h) << "rules expire by it meanwhile";
  pass(9min);
  set_back(500'000h);
  EXPECT_EQ(course(), Course::believed);
  EXPECT_EQ(now(), start + 9min);
  EXPECT_EQ(latest(), start + 9min) << "what has passed by the monotonic clock has passed";
}

TEST_F(ExpiryClockTest, TimeGoesOnWhileTheClockIsAhead) {
  set_ahead(500h);
  pass(5min);
  set_back(501h);
  EXPECT_EQ(now(), start + 5min);
}

TEST_F(ExpiryClockTest, BelievesAClockThatStaysAhead) {
  set_ahead(500h);
  pass(kAheadLasts - 10s);
  EXPECT_EQ(course(), Course::ahead);
  EXPECT_EQ(clock_.standing().left, 10s);
  pass(10s);
  EXPECT_EQ(course(), Course::believed);
  EXPECT_EQ(latest(), start + 500h + kAheadLasts);
}

TEST_F(ExpiryClockTest, SynchronisedOrNotDoesNotShortenThat) {
  reading_.is_synchronised = true;  // still, from before the jump
  set_ahead(500h);
  pass(1min);
  set_back(500h);
  EXPECT_EQ(now(), start + 1min);
}

TEST_F(ExpiryClockTest, AClockThatKeepsJumpingAheadHasNotKeptItsCourse) {
  for (int i = 0; i < 10; i++) {
    set_ahead(500h);
    pass(5min);
  }
  EXPECT_EQ(course(), Course::ahead);
  EXPECT_EQ(latest(), start + 50min);
}

TEST_F(ExpiryClockTest, AClockSetBackRevivesNothing) {
  pass(1h);
  set_back(24h);
  EXPECT_EQ(course(), Course::back);
  EXPECT_EQ(clock_.standing().left, std::nullopt);
  EXPECT_EQ(now(), start + 1h);
  pass(20h);
  EXPECT_EQ(now(), start + 1h) << "however long it lasts, if it is not synchronised";
  restart();
  EXPECT_GE(now(), start + 1h) << "nor by the next daemon";
  reboot(-24h);
  EXPECT_GE(now(), start + 1h) << "nor after the next boot";
  pass(30h);
  EXPECT_GE(now(), start + 1h);
}

TEST_F(ExpiryClockTest, WhatPassedWhileNoDaemonRanHasPassed) {
  advance(30min);
  reading_.now.wall -= 24h;
  restart();
  EXPECT_EQ(course(), Course::back);
  EXPECT_EQ(now(), start + 30min);
}

TEST_F(ExpiryClockTest, BelievesAClockBackThatIsSynchronisedAndLasts) {
  pass(1h);
  set_back(24h);
  reading_.is_synchronised = true;
  clock_.observe(reading_);
  EXPECT_EQ(clock_.standing().left, kBackLasts);
  pass(kBackLasts - 10s);
  EXPECT_EQ(now(), start + 1h);
  pass(10s);
  EXPECT_EQ(course(), Course::believed);
  EXPECT_EQ(now(), start + 1h - 24h + kBackLasts);
  EXPECT_EQ(latest(), now());
}

TEST_F(ExpiryClockTest, CountsAnewWhenSynchronisationIsLost) {
  set_back(24h);
  reading_.is_synchronised = true;
  pass(kBackLasts - 10s);
  reading_.is_synchronised = false;
  clock_.observe(reading_);
  reading_.is_synchronised = true;
  pass(kBackLasts - 10s);
  EXPECT_EQ(now(), start);
}

TEST_F(ExpiryClockTest, CountsAnewWhenTheClockIsSetBackFurther) {
  reading_.is_synchronised = true;
  set_back(24h);
  pass(kBackLasts - 10s);
  set_back(24h);
  EXPECT_EQ(clock_.standing().left, kBackLasts);
}

TEST_F(ExpiryClockTest, AClockThatComesBackToTheRightTimeIsBelievedAtOnce) {
  pass(1h);
  set_back(24h);
  pass(2h);
  set_ahead(24h);
  EXPECT_EQ(course(), Course::believed);
  EXPECT_EQ(latest(), start + 3h);
}

TEST_F(ExpiryClockTest, SmallStepsAreNoJumps) {
  reading_.now.wall += 900ms;
  clock_.observe(reading_);
  EXPECT_EQ(course(), Course::believed);
  reading_.now.wall -= 900ms;
  clock_.observe(reading_);
  EXPECT_EQ(course(), Course::believed);
  EXPECT_EQ(now(), start) << "and none of them back is taken for time";
}

TEST_F(ExpiryClockTest, NobodyVouchesForTheTimeThatTheHostWasOff) {
  reboot(3h);
  EXPECT_EQ(course(), Course::ahead);
  EXPECT_EQ(now(), start + 3h);
  pass(5min);
  EXPECT_EQ(latest(), start + 5min);
  pass(5min);
  EXPECT_EQ(latest(), start + 3h + 10min);
}

TEST_F(ExpiryClockTest, NorForTheTimeThatItSlept) {
  set_ahead(500'000h);  // the monotonic clock stood still, and a broken RTC says for how long
  pass(1min);
  EXPECT_EQ(latest(), start + 1min);
}

TEST_F(ExpiryClockTest, AnRtcThatIsAheadAtBootKillsNothingForGood) {
  reboot(500'000h);
  pass(1min);
  set_back(500'000h - 2h);  // NTP sets it right
  EXPECT_EQ(now(), start + 2h + 1min);
}

TEST_F(ExpiryClockTest, APersonMayConfirmTheClock) {
  set_ahead(500'000h);
  pass(kAheadLasts);
  set_back(500'000h);
  EXPECT_EQ(course(), Course::back);
  clock_.confirm(reading_);
  EXPECT_EQ(course(), Course::believed);
  EXPECT_EQ(now(), start + kAheadLasts);
  EXPECT_EQ(latest(), now());
  set_ahead(500h);
  clock_.confirm(reading_);
  EXPECT_EQ(latest(), now()) << "also one that is ahead";
  restart();
  EXPECT_EQ(course(), Course::believed);
}

}  // namespace
}  // namespace moat
