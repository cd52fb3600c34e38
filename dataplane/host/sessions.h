// SPDX-License-Identifier: BSD-2-Clause
// TCP sockets of this network namespace by sock_diag: who is connected, who listens, and the end of
// sessions whose peer may no longer be.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/address.h"
#include "dataplane/error.h"

namespace moat {

// One TCP socket. IPv4-mapped IPv6 sockets appear as IPv4.
struct Session {
  bool ipv6 = false;
  Address local{};  // zero for IPv6, and for a listener on any address
  std::uint16_t local_port = 0;
  Address peer{};         // zero for IPv6 and for a listener
  Address6 local_ipv6{};  // zero for IPv4, and for a listener on any address
  Address6 peer_ipv6{};   // zero for IPv4, and for a listener
  std::uint16_t peer_port = 0;
  std::uint32_t ifindex = 0;  // of the bound device, 0 without
  std::uint64_t cookie = 0;   // by which the kernel tells the socket from all others
  std::uint64_t cgroup = 0;   // number of the cgroup2 it was made in; 0: the kernel does not tell
  std::uint64_t inode = 0;    // by which /proc names it; 0: no process has it
  bool loopback = false;      // of a listener: on a loopback address alone
  bool ipv4_too = false;      // of an IPv6 listener on any address: it takes IPv4 as well
  // The peer is this host: a loopback address, or one that an interface of the host has.
  bool own = false;
  // Nobody's session any more, but what is left of one answers its peer's packets, for a minute.
  bool time_wait = false;
  // Since the peer last sent data; nothing: not asked for, or the kernel does not tell.
  std::optional<std::chrono::milliseconds> idle = {};
};

// An address of it: "192.0.2.9", "2001:db8::9".
[[nodiscard]] std::string format_peer(const Session& session);
[[nodiscard]] std::string format_local(const Session& session);

// Local ports, host byte order; nothing: every port.
using LocalPorts = std::optional<std::vector<std::uint16_t>>;

// Connected sockets, handshakes under way included, whose local port is one of `ports`. With how
// long they are idle if asked to: the kernel gives a lot else with it.
[[nodiscard]] Result<std::vector<Session>> connected_sessions(const LocalPorts& ports,
                                                              bool with_idle = false);

// Listening sockets.
[[nodiscard]] Result<std::vector<Session>> listeners();

// Ports on which one of the listeners hears other hosts by IPv6, ascending.
[[nodiscard]] std::vector<std::uint16_t> ipv6_ports(const std::vector<Session>& listeners);

// Ends (SOCK_DESTROY) the connected sockets on `ports` for which `allowed` says no; how many. The
// owner's next read fails with ECONNABORTED. What is in TIME_WAIT ends as well, uncounted. Needs
// CAP_NET_ADMIN and CONFIG_INET_DIAG_DESTROY.
//
// An MPTCP session that began on one of `ports` may go on by others. What it has there is asked for
// with the address and the port where the session began.
[[nodiscard]] Result<unsigned> destroy_sessions(const LocalPorts& ports,
                                                const std::function<bool(const Session&)>& allowed);

}  // namespace moat
