// SPDX-License-Identifier: BSD-2-Clause
// With the kernel's own NAT, in a network namespace of the test's own. What is forwarded takes more
// namespaces: see tests/e2e/backstop/end_sessions.sh.
#include "dataplane/host/conntrack.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include "dataplane/fd.h"
#include "tests/support/own_netns.h"

namespace moat {
namespace {

constexpr Address host{127u << 24 | 1}, guest{127u << 24 | 2};

sockaddr_in address(Address ipv4, std::uint16_t port) {
  sockaddr_in made{};
  made.sin_family = AF_INET;
  made.sin_port = htons(port);
  made.sin_addr.s_addr = ipv4.to_network();
  return made;
}

Fd tcp(const sockaddr_in& from) {
  Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int yes = 1;
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  EXPECT_EQ(bind(socket.get(), reinterpret_cast<const sockaddr*>(&from), sizeof from), 0);
  return socket;
}

Fd connected(const sockaddr_in& from, const sockaddr_in& to) {
  Fd socket = tcp(from);
  EXPECT_EQ(connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0)
      << std::strerror(errno);
  return socket;
}

class Conntrack : public testing::Test {
 protected:
  static void SetUpTestSuite() { is_private_ = enter_own_netns(); }
  void SetUp() override {
    ASSERT_TRUE(is_private_) << "needs root";
    for (const auto* listener : {&pooler_, &plain_}) ASSERT_EQ(listen(listener->get(), 8), 0);
  }
  static bool redirect() {
    return run(
        "nft 'add table ip t; add chain ip t c { type nat hook output priority -100; }; "
        "add rule ip t c tcp dport 5432 redirect to :6432'");
  }

  Fd pooler_ = tcp(address(host, 6432));
  Fd plain_ = tcp(address(host, 7432));

 private:
  static inline bool is_private_ = false;
};

TEST_F(Conntrack, AsksNothingWhereNothingIsTracked) {
  const auto found = translations([](const Translation&) { return true; });
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_TRUE(found->empty());
}

TEST_F(Conntrack, TellsWhatWasOnTheWireAndWhatNatMadeOfIt) {
  ASSERT_TRUE(redirect());
  const auto changed = connected(address(guest, 40001), address(host, 5432));
  const auto left_alone = connected(address(guest, 40002), address(host, 7432));

  const auto found = translations([](const Translation&) { return true; });

  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->size(), 1) << "what NAT has not changed is none";
  const auto& [wire, translated, forwarded, name] = found->front();
  EXPECT_EQ(wire.local, host);
  EXPECT_EQ(wire.local_port, 5432);
  EXPECT_EQ(wire.peer, guest);
  EXPECT_EQ(wire.peer_port, 40001);
  EXPECT_TRUE(wire.own);
  EXPECT_EQ(translated.local_port, 6432);
  EXPECT_EQ(translated.peer_port, 40001);
  EXPECT_FALSE(forwarded);
  EXPECT_TRUE(run("nft delete table ip t"));
}

TEST_F(Conntrack, LeavesOutWhatIsOfNoConcern) {
  ASSERT_TRUE(redirect());
  const auto changed = connected(address(guest, 40003), address(host, 5432));
  const auto found =
      translations([](const Translation& session) { return session.wire.peer_port != 40003; });
  ASSERT_TRUE(found) << found.error().message;
  for (const auto& session : *found) EXPECT_NE(session.wire.peer_port, 40003);
  EXPECT_TRUE(run("nft delete table ip t"));
}

}  // namespace
}  // namespace moat
