// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/host/netlink.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <deque>
#include <functional>

#include "tests/support/own_netns.h"
#include "tests/support/patience.h"

namespace moat {
namespace {

class Netlink : public testing::Test {
 protected:
  static void SetUpTestSuite() { is_private_ = enter_own_netns(); }
  void SetUp() override {
    if (!is_private_) GTEST_SKIP() << "needs root";
    auto monitor = LinkMonitor::open();
    ASSERT_TRUE(monitor) << monitor.error().message;
    monitor_.emplace(std::move(*monitor));
  }

  // Waits at most five seconds for news that `is_it` accepts, and forgets what came before it.
  std::optional<LinkEvent> wait_for(const std::function<bool(const LinkEvent&)>& is_it) {
    pollfd wait{monitor_->fd(), POLLIN, 0};
    for (;;) {
      while (!unseen_.empty()) {
        auto event = std::move(unseen_.front());
        unseen_.pop_front();
        if (is_it(event)) return event;
      }
      if (poll(&wait, 1, 5000 * patience()) != 1) return std::nullopt;
      for (auto& event : monitor_->read().events) unseen_.push_back(std::move(event));
    }
  }

  std::optional<LinkMonitor> monitor_;
  std::deque<LinkEvent> unseen_;

 private:
  static inline bool is_private_ = false;
};

TEST_F(Netlink, TellsOfAnInterfaceThatAppearsComesUpAndGoes) {
  ASSERT_TRUE(run("ip link add seen0 type veth peer name peer0"));
  const auto added = wait_for([](const LinkEvent& event) { return event.name == "seen0"; });
  ASSERT_TRUE(added);
  EXPECT_TRUE(added->present);
  EXPECT_FALSE(added->up);

  ASSERT_TRUE(run("ip link set seen0 up"));
  EXPECT_TRUE(wait_for([](const LinkEvent& event) { return event.name == "seen0" && event.up; }));
  ASSERT_TRUE(run("ip link set seen0 down"));
  EXPECT_TRUE(wait_for([](const LinkEvent& event) { return event.name == "seen0" && !event.up; }));

  ASSERT_TRUE(run("ip link del seen0"));
  const auto gone =
      wait_for([](const LinkEvent& event) { return !event.present && event.name == "seen0"; });
  ASSERT_TRUE(gone);
  EXPECT_EQ(gone->ifindex, added->ifindex);
}

TEST_F(Netlink, TellsOfARename) {
  ASSERT_TRUE(
      run("ip link add before0 type veth peer name peer0 && ip link set before0 name after0"));
  const auto before = wait_for([](const LinkEvent& event) { return event.name == "before0"; });
  ASSERT_TRUE(before);
  const auto after = wait_for([](const LinkEvent& event) { return event.name == "after0"; });
  ASSERT_TRUE(after);
  EXPECT_EQ(after->ifindex, before->ifindex);
  EXPECT_TRUE(run("ip link del after0"));
}

TEST_F(Netlink, SaysNothingWhenThereIsNothing) {
  ASSERT_TRUE(monitor_->read().events.empty());
  EXPECT_FALSE(monitor_->read().overrun);
}

TEST_F(Netlink, AdmitsThatItLostSome) {
  // Far more than a socket's buffer holds.
  ASSERT_TRUE(run("ip link add many0 type veth peer name peer0"));
  ASSERT_TRUE(
      run("for i in $(seq 500); do echo link set many0 up; echo link set many0 down; done |"
          " ip -batch -"));
  EXPECT_TRUE(monitor_->read().overrun);
  EXPECT_TRUE(run("ip link del many0"));
}

}  // namespace
}  // namespace moat
