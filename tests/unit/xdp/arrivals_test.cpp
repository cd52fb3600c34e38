// SPDX-License-Identifier: BSD-2-Clause
// On real sockets, in a network namespace of the test's own. That trust goes by what is read here
// is tests/e2e/backstop/end_sessions.sh's to show.
#include "dataplane/xdp/arrivals.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include "tests/support/own_netns.h"

namespace moat {
namespace {

constexpr std::uint32_t loopback = 1;

class ArrivalsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { is_private_ = enter_own_netns(); }
  void SetUp() override {
    ASSERT_TRUE(is_private_) << "needs root";
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = sizeof address;
    auto* at = reinterpret_cast<sockaddr*>(&address);
    ASSERT_EQ(bind(listener_.get(), at, bytes), 0);
    ASSERT_EQ(listen(listener_.get(), 1), 0);
    ASSERT_EQ(getsockname(listener_.get(), at, &bytes), 0);
    ASSERT_EQ(connect(client_.get(), at, bytes), 0);
    server_ = Fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }

  static Fd tcp() { return Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)); }
  static std::uint64_t cookie_of(const Fd& socket) {
    std::uint64_t cookie = 0;
    socklen_t bytes = sizeof cookie;
    EXPECT_EQ(getsockopt(socket.get(), SOL_SOCKET, SO_COOKIE, &cookie, &bytes), 0);
    return cookie;
  }

  Fd listener_ = tcp();
  Fd client_ = tcp();
  Fd server_;

 private:
  static inline bool is_private_ = false;
};

TEST_F(ArrivalsTest, TellTheInterfaceOfASession) {
  Arrivals arrivals;
  const auto interfaces = arrivals.read();
  ASSERT_TRUE(interfaces) << interfaces.error().message;
  const auto entry = interfaces->find(cookie_of(server_));
  ASSERT_NE(entry, interfaces->end()) << "it has been accepted, and nothing was sent yet";
  EXPECT_EQ(entry->second, loopback);
}

TEST_F(ArrivalsTest, AreReadAnewEachTime) {
  Arrivals arrivals;
  ASSERT_TRUE(arrivals.read());
  server_ = Fd();
  client_ = Fd();
  const auto interfaces = arrivals.read();
  ASSERT_TRUE(interfaces) << interfaces.error().message;
  EXPECT_TRUE(interfaces->empty());
}

}  // namespace
}  // namespace moat
