// SPDX-License-Identifier: BSD-2-Clause
#include "control/os/loopback.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <vector>

#include "control/os/control_socket.h"

namespace moat {
namespace {

TEST(Loopback, IsAnAddressOfTheHostToItself) {
  for (const auto* good : {"127.0.0.1:9723", "127.1.2.3:1", "[::1]:65535"})
    EXPECT_TRUE(parse_loopback(good)) << good;
  for (const auto* open :
       {"0.0.0.0:9723", "10.0.0.5:9723", "[::]:9723", "[fe80::1]:9723", "[::ffff:127.0.0.1]:9723"})
    EXPECT_EQ(parse_loopback(open).error().message, "other hosts could reach this address") << open;
  for (const auto* bad : {"", ":9723", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536",
                          "127.0.0.1:x", "localhost:9723", "::1:9723", "[::1]", "[127.0.0.1]:1"})
    EXPECT_EQ(parse_loopback(bad).error().message, "not an address and a port") << bad;
}

TEST(PeerCredentials, AreThoseOfTheProcess) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()), 0);
  const Fd one(pair[0]), other(pair[1]);
  const auto peer = peer_credentials(one.get());
  EXPECT_EQ(peer.uid, ::geteuid());
  EXPECT_EQ(peer.gid, ::getegid());
  EXPECT_EQ(peer.pid, ::getpid());
  EXPECT_TRUE(peer.is_in(::getegid()));
  std::vector<gid_t> groups(static_cast<std::size_t>(::getgroups(0, nullptr)));
  ASSERT_EQ(::getgroups(static_cast<int>(groups.size()), groups.data()), groups.size());
  EXPECT_EQ(peer.groups, groups);
  EXPECT_EQ(peer_credentials(-1).uid, static_cast<uid_t>(-1));
}

}  // namespace
}  // namespace moat
