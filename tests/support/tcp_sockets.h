// SPDX-License-Identifier: BSD-2-Clause
// TCP sockets of a test's own network namespace.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "dataplane/fd.h"

namespace moat {

inline sockaddr_in address4(const char* text, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, text, &address.sin_addr);
  return address;
}

inline sockaddr_in6 address6(const char* text, std::uint16_t port) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  inet_pton(AF_INET6, text, &address.sin6_addr);
  return address;
}

template <typename SocketAddress>
Fd bound(const SocketAddress& address) {
  Fd socket(::socket(reinterpret_cast<const sockaddr&>(address).sa_family,
                     SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int yes = 1;
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  EXPECT_EQ(bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0)
      << std::strerror(errno);
  return socket;
}

template <typename SocketAddress>
Fd listener(const SocketAddress& address) {
  Fd socket = bound(address);
  EXPECT_EQ(listen(socket.get(), 8), 0);
  return socket;
}

// A client's socket, bound to `from` and connected to `to`.
template <typename SocketAddress>
Fd connected(const SocketAddress& from, const SocketAddress& to) {
  Fd socket = bound(from);
  EXPECT_EQ(connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0)
      << std::strerror(errno);
  return socket;
}

}  // namespace moat
