// SPDX-License-Identifier: BSD-2-Clause
// A netlink socket that closes itself, and the request-reply turn over it. For the files beside it
// that speak netlink.
#pragma once

#include <libmnl/libmnl.h>

#include <array>
#include <cerrno>
#include <memory>
#include <string>

#include "dataplane/error.h"

namespace moat {

struct CloseNetlink {
  void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
};
using NetlinkSocket = std::unique_ptr<mnl_socket, CloseNetlink>;

[[nodiscard]] inline std::unexpected<Error> netlink_error(const std::string& what,
                                                          int cause = errno,
                                                          std::string remedy = {}) {
  return std::unexpected(Error{what + ": " + errno_words(cause), std::move(remedy)});
}

// `bus`: NETLINK_ROUTE, ...; `groups`: multicast groups to hear, as a bit mask.
[[nodiscard]] inline Result<NetlinkSocket> open_netlink(int bus, unsigned groups, int flags,
                                                        const std::string& what) {
  NetlinkSocket socket(mnl_socket_open2(bus, SOCK_CLOEXEC | flags));
  if (!socket) return netlink_error(what);
  if (mnl_socket_bind(socket.get(), groups, MNL_SOCKET_AUTOPID) < 0) return netlink_error(what);
  return socket;
}

// Sends `request` and calls `visit(const nlmsghdr*)` for each message of the answer, up to its end.
// Returns 0 or the kernel's errno.
template <typename Visit>
[[nodiscard]] int ask(mnl_socket* socket, const nlmsghdr* request, Visit&& visit) {
  if (mnl_socket_sendto(socket, request, request->nlmsg_len) < 0) return errno;
  // Room for the largest answer that the kernel puts together at once.
  static constexpr std::size_t room = 32768;
  const auto buffer = std::make_unique<std::array<char, room>>();
  const auto call = [](const nlmsghdr* message, void* data) {
    (*static_cast<std::remove_reference_t<Visit>*>(data))(message);
    return MNL_CB_OK;
  };
  const unsigned port = mnl_socket_get_portid(socket);
  for (;;) {
    const auto got = mnl_socket_recvfrom(socket, buffer->data(), buffer->size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    const int state = mnl_cb_run(buffer->data(), static_cast<std::size_t>(got), request->nlmsg_seq,
                                 port, call, &visit);
    if (state < 0 && errno == EINTR) continue;  // the tables changed while they were dumped
    if (state < 0) return errno;
    if (state == MNL_CB_STOP) return 0;
  }
}

// Calls `visit(const nlattr*)` for each attribute after `offset` bytes of the message's payload.
template <typename Visit>
void for_each_attribute(const nlmsghdr* message, unsigned offset, Visit&& visit) {
  const auto call = [](const nlattr* attribute, void* data) {
    (*static_cast<std::remove_reference_t<Visit>*>(data))(attribute);
    return MNL_CB_OK;
  };
  mnl_attr_parse(message, offset, call, &visit);
}

// The same of the attributes inside one.
template <typename Visit>
void for_each_nested(const nlattr* nest, Visit&& visit) {
  const auto call = [](const nlattr* attribute, void* data) {
    (*static_cast<std::remove_reference_t<Visit>*>(data))(attribute);
    return MNL_CB_OK;
  };
  mnl_attr_parse_nested(nest, call, &visit);
}

}  // namespace moat
