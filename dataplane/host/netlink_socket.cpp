// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/host/netlink_socket.h"

namespace moat {

Result<NetlinkSocket> NetlinkSocket::open(int bus, const std::string& what, unsigned groups,
                                          int flags) {
  NetlinkSocket socket(mnl_socket_open2(bus, SOCK_CLOEXEC | flags));
  if (!socket.socket_) return failed(what);
  if (mnl_socket_bind(socket.get(), groups, MNL_SOCKET_AUTOPID) < 0) return failed(what);
  return socket;
}

int NetlinkSocket::ask(nlmsghdr* request, Visit visit) {
  request->nlmsg_seq = ++sequence_;
  if (mnl_socket_sendto(get(), request, request->nlmsg_len) < 0) return errno;
  std::vector<char> buffer(32768);  // the largest answer that the kernel puts together at once
  const auto call = [](const nlmsghdr* message, void* data) {
    (*static_cast<Visit*>(data))(message);
    return MNL_CB_OK;
  };
  const unsigned port = mnl_socket_get_portid(get());
  for (;;) {
    const auto got = mnl_socket_recvfrom(get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    const int state =
        mnl_cb_run(buffer.data(), static_cast<std::size_t>(got), sequence_, port, call, &visit);
    if (state < 0 && errno == EINTR) continue;  // the tables changed while they were dumped
    if (state < 0) return errno;
    if (state == MNL_CB_STOP) return 0;
  }
}

}  // namespace moat
