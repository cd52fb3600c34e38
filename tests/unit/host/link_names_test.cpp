// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/host/link_names.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/own_netns.h"

namespace moat {
namespace {

TEST(LinkNames, AreAllThatAnInterfaceHas) {
  ASSERT_TRUE(enter_own_netns()) << "needs root";
  ASSERT_TRUE(run("ip link add seen0 type veth peer name peer0"));
  ASSERT_TRUE(run("ip link property add dev seen0 altname uplink altname a-name-of-over-15-bytes"));
  const auto links = list_link_names();
  ASSERT_TRUE(links) << links.error().message;
  const auto find = [&](const std::string& name) {
    return std::ranges::find_if(*links,
                                [&](const LinkNames& link) { return link.names[0] == name; });
  };
  ASSERT_NE(find("seen0"), links->end());
  EXPECT_EQ(find("seen0")->names,
            (std::vector<std::string>{"seen0", "uplink", "a-name-of-over-15-bytes"}));
  EXPECT_FALSE(find("seen0")->loopback);
  ASSERT_NE(find("lo"), links->end());
  EXPECT_TRUE(find("lo")->loopback);
}

}  // namespace
}  // namespace moat
