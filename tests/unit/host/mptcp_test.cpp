// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/host/mptcp.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/own_netns.h"

namespace moat {
namespace {

TEST(Mptcp, ListsTheEndpointsThatHaveAPort) {
  ASSERT_TRUE(enter_own_netns()) << "needs root";
  ASSERT_TRUE(
      run("ip mptcp endpoint add 127.0.0.1 port 6000 signal && "
          "ip mptcp endpoint add 127.0.0.2 subflow && "
          "ip mptcp endpoint add ::1 port 6001 signal"));

  auto found = mptcp_endpoints_with_port();

  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->size(), 2);
  std::ranges::sort(*found, {}, &MptcpEndpoint::port);
  EXPECT_EQ(found->front().address, Address(127u << 24 | 1));
  EXPECT_EQ(found->front().port, 6000);
  EXPECT_EQ(found->front().id, 1);
  EXPECT_TRUE(found->back().ipv6);
  EXPECT_EQ(found->back().port, 6001);

  ASSERT_TRUE(run("echo 0 >/proc/sys/net/mptcp/enabled"));
  found = mptcp_endpoints_with_port();
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_TRUE(found->empty()) << "without MPTCP they do nothing";
}

}  // namespace
}  // namespace moat
