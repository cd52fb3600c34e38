// SPDX-License-Identifier: BSD-2-Clause
#include "control/enforce/propagation.h"

#include <gtest/gtest.h>

namespace moat {
namespace {

using namespace std::chrono_literals;
using Time = PropagationTracker::Time;

constexpr Time start{1'800'000'000s};

class PropagationTest : public testing::Test {
 protected:
  void SetUp() override { tracker_.set_bound(10s); }
  PropagationTracker tracker_;
};

TEST_F(PropagationTest, FollowsAChangeFromWrittenToEnforced) {
  tracker_.notice("a.yaml", start, start + 1ms);
  ASSERT_EQ(tracker_.pending().size(), 1U);
  EXPECT_FALSE(tracker_.last());

  tracker_.enforced(7, start + 60ms);

  EXPECT_TRUE(tracker_.pending().empty());
  ASSERT_TRUE(tracker_.last());
  EXPECT_EQ(tracker_.last()->path, "a.yaml");
  EXPECT_EQ(tracker_.last()->written, start);
  EXPECT_EQ(tracker_.last()->noticed, start + 1ms);
  EXPECT_EQ(tracker_.last()->enforced, start + 60ms);
  EXPECT_EQ(tracker_.last()->generation, 7U);
  EXPECT_FALSE(tracker_.last()->overdue);
}

TEST_F(PropagationTest, CountsFromTheFirstChangeThatIsNotEnforced) {
  tracker_.notice("a.yaml", start, start);
  tracker_.notice("a.yaml", start + 5s, start + 5s);
  ASSERT_EQ(tracker_.pending().size(), 1U);
  EXPECT_EQ(tracker_.pending()[0].written, start);
}

TEST_F(PropagationTest, ShowsTheSlowestOfSeveral) {
  tracker_.notice("a.yaml", start + 2s, start + 3s);
  tracker_.notice("b.yaml", start, start + 3s);
  tracker_.notice("c.yaml", start + 1s, start + 3s);
  tracker_.enforced(8, start + 4s);
  EXPECT_EQ(tracker_.last()->path, "b.yaml");
}

TEST_F(PropagationTest, MarksWhatIsOverdueOnce) {
  tracker_.notice("a.yaml", start, start);
  EXPECT_EQ(tracker_.next_deadline(), start + 10s);
  EXPECT_TRUE(tracker_.mark_overdue(start + 10s).empty());
  const auto overdue = tracker_.mark_overdue(start + 11s);
  ASSERT_EQ(overdue.size(), 1U);
  EXPECT_EQ(overdue[0].path, "a.yaml");
  EXPECT_TRUE(tracker_.mark_overdue(start + 12s).empty());
  EXPECT_TRUE(tracker_.pending()[0].overdue);
  EXPECT_FALSE(tracker_.next_deadline());
}

TEST_F(PropagationTest, RemembersThatAChangeCameTooLate) {
  tracker_.notice("a.yaml", start, start + 30s);  // inotify missed it
  tracker_.enforced(9, start + 31s);
  EXPECT_TRUE(tracker_.last()->overdue);
}

TEST_F(PropagationTest, WaitsForNoFileThatIsHeldBack) {
  tracker_.notice("a.yaml", start, start);
  tracker_.drop("a.yaml");
  EXPECT_TRUE(tracker_.pending().empty());
  tracker_.enforced(3, start + 1s);
  EXPECT_FALSE(tracker_.last());
}

}  // namespace
}  // namespace moat
