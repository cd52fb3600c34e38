// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/host/netlink.h"
#include "dataplane/host/own_addresses.h"

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
    ASSERT_TRUE(is_private_) << "needs root";
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

TEST_F(Netlink, TellsTheWayToAnAddressAndWhatItsPacketsComeFrom) {
  ASSERT_TRUE(
      run("ip link add way0 type veth peer name peer0 && ip link set way0 up && "
          "ip link set peer0 up && ip addr add 10.1.0.5/24 dev way0 && "
          "ip addr add 10.1.0.6/24 dev way0 label way0:1 && "
          "ip route add 10.42.0.0/16 via 10.1.0.1 src 10.1.0.6 && "
          "ip route add unreachable 10.43.0.0/16"));
  const auto added = wait_for([](const LinkEvent& event) { return event.name == "way0"; });
  ASSERT_TRUE(added);
  Routes routes;
  const auto near = routes.route_to(Address(0x0a010001));
  ASSERT_TRUE(near) << near.error().message;
  EXPECT_EQ(near->ifindex, added->ifindex);
  EXPECT_EQ(format_address(near->source), "10.1.0.5");
  const auto far = routes.route_to(Address(0x0a2a0001));
  ASSERT_TRUE(far) << far.error().message;
  EXPECT_EQ(format_address(far->source), "10.1.0.6");
  EXPECT_FALSE(routes.route_to(Address(0x0a2b0001))) << "unreachable";
  EXPECT_FALSE(routes.route_to(Address(0x0a2c0001))) << "no route";

  const auto addresses = interface_addresses();
  ASSERT_EQ(addresses.size(), 2U) << "without those of lo";
  for (const auto& at : addresses) {
    EXPECT_EQ(at.interface, "way0");
    EXPECT_EQ(at.length, 24);
  }
  EXPECT_EQ(format_address(addresses[0].address), "10.1.0.5");
  EXPECT_EQ(format_address(addresses[1].address), "10.1.0.6");
  EXPECT_TRUE(run("ip link del way0"));
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
