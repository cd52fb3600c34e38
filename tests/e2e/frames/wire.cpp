// SPDX-License-Identifier: BSD-2-Clause
#include "tests/e2e/frames/wire.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <sstream>

#include "tests/support/patience.h"

namespace moat::testing {
namespace {

constexpr int kPatience = 10'000;  // ms, for an echo
constexpr Ping kPing = {.to_mac = {2, 0, 0, 0, 0, 2},
                        .from_mac = {2, 0, 0, 0, 0, 1},
                        .to = {10, 0, 0, 10},
                        .from = {10, 0, 0, 1},
                        .number = 0};

std::unexpected<Error> fail(const std::string& what) {
  return std::unexpected(Error{fmt::format("{}: {}", what, std::strerror(errno)), {}});
}

Result<> enter(const std::string& netns) {
  const Fd fd(::open(netns.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd || setns(fd.get(), CLONE_NEWNET) != 0) return fail(netns);
  return {};
}

// All frames of one interface of the current namespace. A frame that it sent comes back to a socket
// only if `with_outgoing`.
Result<Fd> packet_socket(const std::string& interface, bool with_outgoing) {
  Fd fd(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  const int ignored = with_outgoing ? 0 : 1, buffer = 16 << 20;
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
  if (!fd || address.sll_ifindex == 0 ||
      setsockopt(fd.get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, &ignored, sizeof ignored) != 0 ||
      setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer) != 0 ||
      setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer) != 0 ||
      bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return fail("packet socket on " + interface);
  return fd;
}

Result<> stay_on_one_cpu() {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  if (sched_setaffinity(0, sizeof one, &one) != 0) return fail("one CPU");
  return {};
}

}  // namespace

Result<Wire> Wire::open(const std::string& far, const std::string& interface,
                        const std::string& host) {
  Wire wire;
  wire.ping_ = kPing;
  if (auto done = stay_on_one_cpu(); !done) return std::unexpected(done.error());
  if (auto done = enter(far); !done) return std::unexpected(done.error());
  auto socket = packet_socket(interface, false);
  if (!socket) return std::unexpected(socket.error());
  wire.far_ = std::move(*socket);
  if (auto done = enter(host); !done) return std::unexpected(done.error());
  socket = packet_socket("lo", true);
  if (!socket) return std::unexpected(socket.error());
  wire.loopback_ = std::move(*socket);
  wire.statistics_ = Fd(::open("/proc/thread-self/net/snmp", O_RDONLY | O_CLOEXEC));
  if (!wire.statistics_) return fail("/proc/thread-self/net/snmp");
  return wire;
}

Result<bool> Wire::send(Bytes frame) {
  if (frame.size() < ETH_HLEN) return false;
  const auto sent = ::send(far_.get(), frame.data(), frame.size(), 0);
  if (sent < 0 && errno == EMSGSIZE) return false;
  if (sent < 0) return fail("send");
  return true;
}

Result<std::vector<Answer>> Wire::settle() {
  std::vector<Answer> said;
  ping_.number++;
  echoed_ = false;
  if (auto sent = send(frame_of(ping_)); !sent) return std::unexpected(sent.error());
  while (!echoed_) {
    pollfd ready{far_.get(), POLLIN, 0};
    if (poll(&ready, 1, kPatience * patience()) == 0)
      return std::unexpected(Error{"the host does not answer a ping any more", {}});
    hear(far_.get(), false, said);
  }
  hear(loopback_.get(), true, said);
  return said;
}

void Wire::hear(int fd, bool is_loopback, std::vector<Answer>& said) {
  static thread_local std::array<std::uint8_t, 1 << 17> bytes;
  for (;;) {
    sockaddr_ll from{};
    socklen_t size = sizeof from;
    const auto length = recvfrom(fd, bytes.data(), bytes.size(), MSG_DONTWAIT,
                                 reinterpret_cast<sockaddr*>(&from), &size);
    if (length < 0) return;
    if (is_loopback && from.sll_pkttype != PACKET_OUTGOING) continue;  // the same once more
    const Bytes frame = Bytes(bytes).first(static_cast<std::size_t>(length));
    if (is_echo_of(ping_, frame)) {
      echoed_ = true;
    } else if (auto answer = read_answer(frame)) {
      said.push_back(*answer);
    }
  }
}

Result<std::uint64_t> Wire::segments() const {
  std::array<char, 8192> text{};
  const auto length = pread(statistics_.get(), text.data(), text.size() - 1, 0);
  if (length <= 0) return fail("statistics of TCP");
  // A line of names and one of values, both beginning with "Tcp:".
  const std::string all(text.data(), static_cast<std::size_t>(length));
  const auto names_at = all.find("Tcp:"), values_at = all.find("Tcp:", names_at + 1);
  std::istringstream names(all.substr(names_at)), values(all.substr(values_at));
  std::string name, value;
  while (names >> name && values >> value)
    if (name == "InSegs") return std::stoull(value);
  return std::unexpected(Error{"no InSegs in the statistics of TCP", {}});
}

Result<Listeners> Listeners::open(std::vector<std::uint16_t> ports) {
  Listeners listeners;
  listeners.ports_ = std::move(ports);
  if (auto done = listeners.renew(); !done) return std::unexpected(done.error());
  return listeners;
}

Result<> Listeners::renew() {
  sockets_.clear();
  for (const std::uint16_t port : ports_) {
    Fd fd(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int yes = 1, no = 0;
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(port);
    if (!fd || setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no) != 0 ||
        setsockopt(fd.get(), IPPROTO_IPV6, IPV6_TRANSPARENT, &yes, sizeof yes) != 0 ||
        bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        listen(fd.get(), 16) != 0)
      return fail(fmt::format("listen on port {}", port));
    sockets_.push_back(std::move(fd));
  }
  return {};
}

int Listeners::accept_all() {
  int accepted = 0;
  for (const Fd& socket : sockets_)
    for (;;) {
      const Fd connection(accept4(socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!connection) break;
      accepted++;
      const linger at_once{1, 0};
      (void)setsockopt(connection.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
  return accepted;
}

}  // namespace moat::testing
