// SPDX-License-Identifier: BSD-2-Clause
// Real interfaces in namespaces of the test's own. Needs root.
#include "dataplane/host/link_settings.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/if_tun.h>
#include <poll.h>

#include "dataplane/fd.h"
#include "tests/support/own_netns.h"
#include "tests/support/patience.h"

namespace moat {
namespace {

class LinkSettingsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(enter_own_netns()) << "needs root";
    ASSERT_TRUE(run("ip link add left type veth peer name right && ip link set right up"));
  }
  static std::uint32_t number(const std::string& name) { return (*link_state(name))->ifindex; }
  static void set_left() {
    ASSERT_TRUE(
        run("ip link set left mtu 1400 up && ip address add 192.0.2.1/24 dev left && "
            "ip -6 address add 2001:db8::1/64 dev left nodad && "
            "ip route add 198.51.100.0/24 via 192.0.2.9 dev left && "
            "ip route add 203.0.113.0/24 dev left metric 7 && "
            "ip -6 route add 2001:db8:1::/64 via 2001:db8::9 dev left && "
            "ip neighbour add 192.0.2.9 lladdr 02:00:00:00:00:09 dev left nud permanent"));
  }
};

TEST_F(LinkSettingsTest, AStateIsWhatTheKernelSays) {
  ASSERT_TRUE(run("ip link set left mtu 1400 address 02:00:00:00:00:05 promisc on up"));
  const LinkState state = **link_state("left");
  EXPECT_EQ(state.name, "left");
  EXPECT_TRUE(state.is_up);
  EXPECT_TRUE(state.has_carrier);
  EXPECT_TRUE(state.is_promiscuous);
  EXPECT_EQ(state.mtu, 1400u);
  EXPECT_EQ(state.address[5], 5);
  EXPECT_EQ((*link_state(state.ifindex))->name, "left");
  EXPECT_FALSE(*link_state("absent"));
  EXPECT_FALSE(*link_state(9999));
}

// As after the worker's death: the interface went, and another one has its name.
TEST_F(LinkSettingsTest, TheNextInterfaceIsSetLikeTheLast) {
  set_left();
  const auto before = LinkSettings::read(number("left")).value();
  EXPECT_TRUE(before.has_addresses());
  ASSERT_TRUE(run(
      "ip link del left && ip link add left type veth peer name right && ip link set right up"));
  EXPECT_FALSE(LinkSettings::read(number("left"))->has_addresses());
  const auto parsed = LinkSettings::parse(before.bytes());
  ASSERT_TRUE(parsed);
  const auto applied = parsed->apply(number("left"));
  ASSERT_TRUE(applied) << applied.error().message;
  for (const char* shows : {"ip route get 198.51.100.1 | grep -q 'via 192.0.2.9 dev left'",
                            "ip route show dev left | grep -q '203.0.113.0/24.*metric 7'",
                            "ip -6 route show dev left | grep -q '2001:db8:1::/64 via'",
                            "ip neighbour show dev left | grep -q '192.0.2.9.*PERMANENT'",
                            "ip address show left | grep -q 'inet 192.0.2.1/24'",
                            "ip link show left | grep -q 'UP.*mtu 1400'"})
    EXPECT_TRUE(run(shows)) << shows;
  EXPECT_EQ(LinkSettings::read(number("left")).value(), before);
}

TEST_F(LinkSettingsTest, ApplyingTwiceChangesNothing) {
  set_left();
  const auto settings = LinkSettings::read(number("left")).value();
  const auto applied = settings.apply(number("left"));
  EXPECT_TRUE(applied) << applied.error().message;
  EXPECT_EQ(LinkSettings::read(number("left")).value(), settings);
}

// With nobody at the other end the kernel marks routes as dead.
TEST_F(LinkSettingsTest, SettingsAreTheSameWithoutALink) {
  set_left();
  const auto settings = LinkSettings::read(number("left")).value();
  ASSERT_TRUE(run("ip link set right down"));
  const auto without = LinkSettings::read(number("left")).value();
  const auto applied = without.apply(number("left"));
  EXPECT_TRUE(applied) << applied.error().message;
  EXPECT_EQ(without, settings);
}

TEST_F(LinkSettingsTest, OtherBytesAreNoSettings) {
  EXPECT_FALSE(LinkSettings::parse("no settings at all, but longer than a header"));
  EXPECT_TRUE(LinkSettings::parse(""));
}

TEST_F(LinkSettingsTest, ADefaultRouteIsFound) {
  ASSERT_TRUE(run("ip link set left up && ip address add 192.0.2.1/24 dev left"));
  EXPECT_FALSE(*has_default_route(number("left")));
  ASSERT_TRUE(run("ip route add default via 192.0.2.9"));
  EXPECT_TRUE(*has_default_route(number("left")));
  EXPECT_FALSE(*has_default_route(number("right")));
}

TEST_F(LinkSettingsTest, OneOfSeveralWaysCounts) {
  ASSERT_TRUE(
      run("ip link set left up && ip address add 192.0.2.1/24 dev left && "
          "ip route add default nexthop via 192.0.2.9 nexthop via 192.0.2.8"));
  EXPECT_TRUE(*has_default_route(number("left")));
}

TEST_F(LinkSettingsTest, AnInterfaceIsMovedAndSwitchedOn) {
  const Fd here(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(enter_own_netns());
  const Fd there(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(setns(here.get(), CLONE_NEWNET), 0);
  ASSERT_TRUE(move_link(number("left"), there.get()));
  EXPECT_FALSE(*link_state("left"));
  ASSERT_EQ(setns(there.get(), CLONE_NEWNET), 0);
  ASSERT_TRUE(set_link_up(number("left")));
  ASSERT_TRUE(set_link_mtu(number("left"), 1300));
  EXPECT_TRUE((*link_state("left"))->is_up);
  EXPECT_EQ((*link_state("left"))->mtu, 1300u);
  EXPECT_FALSE(set_link_mtu(number("left"), 1'000'000));
}

TEST_F(LinkSettingsTest, TheLinkStateCanBeSet) {
  const Fd tap(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  ifreq request{};
  std::strcpy(request.ifr_name, "tap0");
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  ASSERT_EQ(::ioctl(tap.get(), TUNSETIFF, &request), 0);
  ASSERT_TRUE(run("ip link set tap0 up"));
  EXPECT_TRUE(set_link_carrier(number("tap0"), true));
  EXPECT_TRUE((*link_state("tap0"))->has_carrier);
  EXPECT_TRUE(set_link_carrier(number("tap0"), false));
  EXPECT_FALSE((*link_state("tap0"))->has_carrier);
}

TEST_F(LinkSettingsTest, AChangeIsNews) {
  auto monitor = SettingsMonitor::open().value();
  (void)monitor.drain();
  for (const char* change : {"ip address add 192.0.2.1/24 dev left", "ip link set left up",
                             "ip route add 203.0.113.0/24 dev left"}) {
    ASSERT_TRUE(run(change));
    pollfd waits = {monitor.fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&waits, 1, 10'000 * patience()), 1) << change;
    EXPECT_TRUE(monitor.drain()) << change;
  }
  EXPECT_FALSE(monitor.drain());
}

}  // namespace
}  // namespace moat
