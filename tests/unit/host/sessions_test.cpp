// SPDX-License-Identifier: BSD-2-Clause
// On real sockets, in a network namespace of the test's own.
#include "dataplane/host/sessions.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "dataplane/host/netlink.h"
#include "tests/support/own_netns.h"
#include "tests/support/patience.h"
#include "tests/support/stopped_at.h"
#include "tests/support/tcp_sockets.h"

namespace moat {
namespace {

// A connection from `from` to a listener at `to`: the client's end and the server's.
struct Connection {
  Fd client;
  Fd server;
};

Connection connect_to(const Fd& listener, const sockaddr_in& from, const sockaddr_in& to) {
  Fd client = connected(from, to);
  return {std::move(client), Fd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC))};
}

// What a read on the socket comes to, waiting for five seconds: bytes, or minus errno.
ssize_t read_result(const Fd& socket) {
  pollfd wait{socket.get(), POLLIN, 0};
  if (poll(&wait, 1, 5000 * patience()) != 1) return -ETIMEDOUT;
  char byte = 0;
  const auto got = read(socket.get(), &byte, 1);
  return got < 0 ? -errno : got;
}

class Sessions : public testing::Test {
 protected:
  static void SetUpTestSuite() { ASSERT_TRUE(enter_own_netns()) << "needs root"; }
  void SetUp() override { ASSERT_EQ(geteuid(), 0) << "needs root"; }
};

constexpr Address ip(unsigned a, unsigned b, unsigned c, unsigned d) {
  return Address(a << 24 | b << 16 | c << 8 | d);
}

TEST_F(Sessions, ListsTheConnectedSocketsOfAPort) {
  const auto server = listener(address4("127.0.0.1", 5432));
  const auto other = listener(address4("127.0.0.1", 6000));
  const auto a = connect_to(server, address4("127.0.0.2", 40001), address4("127.0.0.1", 5432));
  const auto b = connect_to(other, address4("127.0.0.2", 40002), address4("127.0.0.1", 6000));

  const auto found = connected_sessions(std::vector<std::uint16_t>{5432});

  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->size(), 1U);
  EXPECT_FALSE(found->front().ipv6);
  EXPECT_EQ(found->front().local, ip(127, 0, 0, 1));
  EXPECT_EQ(found->front().local_port, 5432);
  EXPECT_EQ(found->front().peer, ip(127, 0, 0, 2));
  EXPECT_EQ(found->front().peer_port, 40001);
  EXPECT_TRUE(found->front().own);
}

TEST_F(Sessions, FiltersForSeveralPortsAndForNone) {
  const auto one = listener(address4("127.0.0.1", 5432));
  const auto two = listener(address4("127.0.0.1", 6432));
  const auto three = listener(address4("127.0.0.1", 7432));
  const auto a = connect_to(one, address4("127.0.0.2", 40001), address4("127.0.0.1", 5432));
  const auto b = connect_to(two, address4("127.0.0.2", 40002), address4("127.0.0.1", 6432));
  const auto c = connect_to(three, address4("127.0.0.2", 40003), address4("127.0.0.1", 7432));
  std::vector<std::uint16_t> many;
  for (std::uint16_t port = 1000; port < 2024; port++) many.push_back(port);
  many.back() = 7432;

  const auto count = [](const LocalPorts& ports) {
    const auto found = connected_sessions(ports);
    EXPECT_TRUE(found) << found.error().message;
    return found ? found->size() : 0;
  };
  EXPECT_EQ(count(std::vector<std::uint16_t>{}), 0U);
  EXPECT_EQ(count(std::vector<std::uint16_t>{6432, 7432}), 2U);
  EXPECT_EQ(count(std::vector<std::uint16_t>{7432, 6432, 5432}), 3U);
  EXPECT_EQ(count(many), 1U);
  EXPECT_EQ(count(std::nullopt), 6U);  // both ends of each
}

TEST_F(Sessions, ShowsMappedAddressesAsIpv4) {
  const auto server = listener(address6("::", 5432));
  const auto session =
      connect_to(server, address4("127.0.0.2", 40001), address4("127.0.0.1", 5432));

  const auto found = connected_sessions(std::vector<std::uint16_t>{5432});

  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->size(), 1U);
  EXPECT_FALSE(found->front().ipv6);
  EXPECT_EQ(found->front().local, ip(127, 0, 0, 1));
  EXPECT_EQ(found->front().peer, ip(127, 0, 0, 2));
}

TEST_F(Sessions, ListsListeners) {
  const auto any = listener(address4("0.0.0.0", 5432));
  const auto local = listener(address4("127.0.0.1", 6432));
  const auto six = listener(address6("::1", 7432));

  const auto found = listeners();

  ASSERT_TRUE(found) << found.error().message;
  const auto at = [&](std::uint16_t port) {
    return std::ranges::find(*found, port, &Session::local_port);
  };
  ASSERT_EQ(found->size(), 3U);
  EXPECT_EQ(at(5432)->local, Address{});
  EXPECT_FALSE(at(5432)->loopback);
  EXPECT_NE(at(5432)->cgroup, 0U);
  EXPECT_TRUE(at(6432)->loopback);
  EXPECT_TRUE(at(7432)->ipv6);
  EXPECT_TRUE(at(7432)->loopback);
}

TEST_F(Sessions, TellsOnWhichPortsOthersAreHeardByIpv6) {
  const auto four = listener(address4("0.0.0.0", 5432));
  const auto six = listener(address6("::", 22));
  const auto local = listener(address6("::1", 7432));
  const auto found = listeners();
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(ipv6_ports(*found), std::vector<std::uint16_t>{22});
}

TEST_F(Sessions, EndsThoseThatAreNotAllowedAndNoOthers) {
  const auto server = listener(address4("127.0.0.1", 5432));
  const auto keep = connect_to(server, address4("127.0.0.2", 40001), address4("127.0.0.1", 5432));
  const auto end = connect_to(server, address4("127.0.0.3", 40002), address4("127.0.0.1", 5432));

  const auto ended = destroy_sessions(std::vector<std::uint16_t>{5432}, [](const Session& session) {
    return session.peer == ip(127, 0, 0, 2);
  });

  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(*ended, 1U);
  EXPECT_EQ(read_result(end.server), -ECONNABORTED);
  EXPECT_EQ(write(keep.client.get(), "x", 1), 1);
  EXPECT_EQ(read_result(keep.server), 1);
}

// What is in TIME_WAIT keeps its port from being bound.
TEST_F(Sessions, EndsWhatIsInTimeWaitUncounted) {
  const auto at = address4("127.0.0.1", 5432);
  {
    const auto server = listener(at);
    auto ended = connect_to(server, address4("127.0.0.2", 40001), at);
    {
      const Fd first_to_close(std::move(ended.server));
    }
  }
  const auto can_bind = [&at] {
    const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return bind(socket.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0;
  };
  ASSERT_FALSE(can_bind());

  const auto ended =
      destroy_sessions(std::vector<std::uint16_t>{5432}, [](const Session&) { return false; });

  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(*ended, 0U);
  EXPECT_TRUE(can_bind());
}

TEST_F(Sessions, EndsMappedAndIpv6Sessions) {
  const auto server = listener(address6("::", 5432));
  const auto mapped = connect_to(server, address4("127.0.0.2", 40001), address4("127.0.0.1", 5432));
  Fd client = bound(address6("::1", 40002));
  const auto to = address6("::1", 5432);
  ASSERT_EQ(connect(client.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  const Fd six(accept4(server.get(), nullptr, nullptr, SOCK_CLOEXEC));

  const auto ended =
      destroy_sessions(std::vector<std::uint16_t>{5432}, [](const Session&) { return false; });

  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(*ended, 2U);
  EXPECT_EQ(read_result(mapped.server), -ECONNABORTED);
  EXPECT_EQ(read_result(six), -ECONNABORTED);
}

TEST_F(Sessions, KnowsAPeerThatIsTheHostItself) {
  ASSERT_TRUE(
      run("ip link add own0 type veth peer name own1 && ip addr add 192.0.2.1/24 dev own0 && "
          "ip link set own0 up"));
  const auto server = listener(address4("192.0.2.1", 5432));
  const auto session =
      connect_to(server, address4("192.0.2.1", 40001), address4("192.0.2.1", 5432));

  const auto found = connected_sessions(std::vector<std::uint16_t>{5432});

  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->size(), 1U);
  EXPECT_TRUE(found->front().own);
  EXPECT_TRUE(run("ip link del own0"));
}

TEST_F(Sessions, FindsTheInterfaceTowardsAnAddress) {
  ASSERT_TRUE(
      run("ip link add route0 type veth peer name route1 && ip addr add 192.0.2.1/24 dev route0 && "
          "ip link set route0 up && ip link set route1 up"));

  const auto there = Routes().interface_to_peer({.peer = ip(192, 0, 2, 77)});
  const auto nowhere = Routes().interface_to_peer({.peer = ip(198, 51, 100, 1)});

  ASSERT_TRUE(there) << there.error().message;
  EXPECT_EQ(*there, if_nametoindex("route0"));
  EXPECT_FALSE(nowhere);
  EXPECT_TRUE(run("ip link del route0"));
}

// A host with an uplink a source: the way to the peer depends on the address it was asked at.
TEST_F(Sessions, FindsTheInterfaceThatTheLocalAddressDecides) {
  ASSERT_TRUE(
      run("ip link add route0 type veth peer name route1 && "
          "ip link set route0 up && ip link set route1 up && "
          "ip addr add 192.0.2.1/24 dev route0 && ip addr add 203.0.113.1/24 dev route1 && "
          "ip route add default via 192.0.2.254 && "
          "ip rule add from 203.0.113.1 table 77 && "
          "ip route add default via 203.0.113.254 dev route1 table 77"));

  const auto peer = ip(198, 51, 100, 1);
  const auto usual = Routes().interface_to_peer({.local = ip(192, 0, 2, 1), .peer = peer});
  const auto by_rule = Routes().interface_to_peer({.local = ip(203, 0, 113, 1), .peer = peer});

  ASSERT_TRUE(usual && by_rule);
  EXPECT_EQ(*usual, if_nametoindex("route0"));
  EXPECT_EQ(*by_rule, if_nametoindex("route1"));
  EXPECT_TRUE(run("ip rule del table 77 && ip link del route0"));
}

TEST_F(Sessions, AsksForARouteOnceAndByOneSocket) {
  ASSERT_TRUE(
      run("ip link add route0 type veth peer name route1 && "
          "ip link set route0 up && ip link set route1 up && ip addr add 192.0.2.1/24 dev route0"));
  const auto look = [] {
    Routes routes;
    for (const unsigned peer : {77, 78, 77, 78, 77})
      if (!routes.interface_to_peer({.peer = ip(192, 0, 2, peer)})) return false;
    return true;
  };
  int sockets = 0;
  int questions = 0;
  EXPECT_TRUE(stopped_at([](const SystemCall& call) { return call.entry.nr == SYS_socket; }, look,
                         [&](int number) { sockets = number; }));
  EXPECT_TRUE(stopped_at([](const SystemCall& call) { return call.entry.nr == SYS_sendto; }, look,
                         [&](int number) { questions = number; }));
  EXPECT_EQ(sockets, 1);
  EXPECT_EQ(questions, 2);
  EXPECT_TRUE(run("ip link del route0"));
}

}  // namespace
}  // namespace moat
