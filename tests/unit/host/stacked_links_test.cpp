// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/host/stacked_links.h"

#include <gtest/gtest.h>
#include <net/if.h>

#include <algorithm>

#include "tests/support/own_netns.h"

namespace moat {
namespace {

using Indices = std::set<std::uint32_t>;

constexpr LinkPlace nic(std::uint32_t index, std::uint32_t master = 0) {
  return {index, 0, master};
}
constexpr LinkPlace vlan(std::uint32_t index, std::uint32_t on, std::uint32_t master = 0) {
  return {index, on, master};
}

TEST(StackedLinks, a_vlan_brings_what_its_nic_has_seen) {
  EXPECT_EQ(with_stacked({nic(2), vlan(5, 2), nic(3), vlan(6, 3)}, {2}), (Indices{2, 5}));
}

TEST(StackedLinks, a_bridge_does_when_each_of_its_ports_has_seen_it) {
  EXPECT_EQ(with_stacked({nic(2, 9), nic(3, 9), nic(9)}, {2, 3}), (Indices{2, 3, 9}));
  EXPECT_EQ(with_stacked({nic(2, 9), nic(3, 9), nic(9)}, {2}), (Indices{2}));
}

TEST(StackedLinks, they_stack_in_any_order) {
  EXPECT_EQ(with_stacked({vlan(7, 9), nic(9), vlan(5, 2, 9), nic(2)}, {2}), (Indices{2, 5, 7, 9}));
}

TEST(StackedLinks, nothing_stands_on_nothing) {
  EXPECT_EQ(with_stacked({nic(2), nic(3)}, {}), Indices{});
  EXPECT_EQ(with_stacked({}, {2}), Indices{2});
}

using Names = std::vector<std::string>;

TEST(UnseenLinks, are_those_up_that_bring_packets_of_their_own) {
  std::vector<LinkPlace> links = {
      {.ifindex = 1, .name = "lo", .loopback = true, .up = true},
      {.ifindex = 2, .name = "eth0", .up = true},
      {.ifindex = 3, .name = "eth1", .up = true},
      {.ifindex = 4, .name = "eth2"},
      {.ifindex = 5, .vlan_on = 2, .name = "eth0.5", .up = true, .kind = "vlan"},
      {.ifindex = 6, .vlan_on = 3, .name = "eth1.6", .up = true, .kind = "vlan"},
      {.ifindex = 7, .name = "dummy0", .up = true, .kind = "dummy"}};
  EXPECT_EQ(unseen_links(links, {2}), (Names{"eth1"}));
  EXPECT_EQ(unseen_links(links, {2, 3}), Names{});
  EXPECT_EQ(unseen_links(links, {}), (Names{"eth0", "eth1"}));
}

TEST(UnseenLinks, name_the_bridge_and_not_its_ports) {
  const std::vector<LinkPlace> links = {
      {.ifindex = 2, .master = 9, .name = "eth0", .up = true},
      {.ifindex = 3, .master = 9, .name = "veth1", .up = true, .kind = "veth"},
      {.ifindex = 9, .name = "br0", .up = true, .kind = "bridge"}};
  EXPECT_EQ(unseen_links(links, {2}), (Names{"br0"}));
  EXPECT_EQ(unseen_links(links, {9}), Names{});
  EXPECT_EQ(unseen_links(links, {2, 3}), Names{});
}

TEST(UnseenLinks, name_the_ports_of_a_vrf) {
  const std::vector<LinkPlace> links = {{.ifindex = 2, .master = 9, .name = "eth0", .up = true},
                                        {.ifindex = 3, .master = 9, .name = "eth1", .up = true},
                                        {.ifindex = 9, .name = "red", .up = true, .kind = "vrf"}};
  EXPECT_EQ(unseen_links(links, {2}), (Names{"eth1"}));
}

TEST(StackedLinks, the_kernels_list_tells_a_port_from_its_bridge) {
  ASSERT_TRUE(enter_own_netns()) << "needs root";
  ASSERT_TRUE(
      run("ip link add sl0 type veth peer name sl1 && ip link add slb type bridge && "
          "ip link set sl0 master slb"));
  const auto links = list_links();
  ASSERT_TRUE(links) << links.error().message;
  const auto port = std::ranges::find(*links, if_nametoindex("sl0"), &LinkPlace::ifindex);
  const auto other = std::ranges::find(*links, if_nametoindex("sl1"), &LinkPlace::ifindex);
  ASSERT_TRUE(port != links->end() && other != links->end());
  EXPECT_EQ(port->kind, "veth");
  EXPECT_FALSE(port->up);
  EXPECT_EQ(port->master, if_nametoindex("slb"));
  EXPECT_EQ(other->master, 0u);
  // The ends of a veth name each other as what they are linked to; that makes no VLAN of them.
  EXPECT_EQ(other->vlan_on, 0u);
  EXPECT_TRUE(run("ip link del sl0 && ip link del slb"));
}

}  // namespace
}  // namespace moat
