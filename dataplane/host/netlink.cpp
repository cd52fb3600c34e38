// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/host/netlink.h"

#include <linux/if.h>
#include <linux/rtnetlink.h>

#include <optional>

#include "dataplane/host/netlink_socket.h"

namespace moat {
namespace {

int keep_event(const nlmsghdr* message, void* data) {
  auto& events = *static_cast<std::vector<LinkEvent>*>(data);
  if (message->nlmsg_type != RTM_NEWLINK && message->nlmsg_type != RTM_DELLINK) return MNL_CB_OK;
  const auto* info = header_of<ifinfomsg>(message);
  if (info == nullptr) return MNL_CB_OK;
  if (info->ifi_family != AF_UNSPEC) return MNL_CB_OK;  // a bridge tells of its ports
  LinkEvent event;
  event.ifindex = static_cast<std::uint32_t>(info->ifi_index);
  event.present = message->nlmsg_type == RTM_NEWLINK;
  event.up = event.present && (info->ifi_flags & IFF_UP) != 0;
  for_each_attribute<ifinfomsg>(message, [&](const nlattr* attribute) {
    if (mnl_attr_get_type(attribute) == IFLA_IFNAME) event.name = text_of(attribute);
  });
  events.push_back(std::move(event));
  return MNL_CB_OK;
}

constexpr auto route_lookup = "look up a route";

Result<Route> look_up_route(NetlinkSocket& socket, const Session& session) {
  NetlinkRequest<rtmsg> request(RTM_GETROUTE, NLM_F_ACK);
  nlmsghdr* header = request.message();
  request->rtm_family = session.ipv6 ? AF_INET6 : AF_INET;
  request->rtm_dst_len = request->rtm_src_len = session.ipv6 ? 128 : 32;
  if (session.ipv6) {
    mnl_attr_put(header, RTA_DST, session.peer_ipv6.size(), session.peer_ipv6.data());
    mnl_attr_put(header, RTA_SRC, session.local_ipv6.size(), session.local_ipv6.data());
  } else {
    mnl_attr_put_u32(header, RTA_DST, session.peer.to_network());
    mnl_attr_put_u32(header, RTA_SRC, session.local.to_network());
  }
  // A link-local peer is bound to its link.
  if (session.ifindex != 0) mnl_attr_put_u32(header, RTA_OIF, session.ifindex);
  Route route;
  const int cause = socket.ask(header, [&](const nlmsghdr* message) {
    if (message->nlmsg_type != RTM_NEWROUTE) return;
    for_each_attribute<rtmsg>(message, [&](const nlattr* attribute) {
      const auto type = mnl_attr_get_type(attribute);
      if (type == RTA_OIF) route.ifindex = mnl_attr_get_u32(attribute);
      if (type == RTA_PREFSRC && !session.ipv6)
        route.source = Address::from_network(mnl_attr_get_u32(attribute));
    });
  });
  if (cause != 0) return failed(route_lookup, cause);
  if (route.ifindex == 0) return std::unexpected(Error{"look up a route: there is none", ""});
  return route;
}

}  // namespace

struct LinkMonitor::Socket {
  NetlinkSocket netlink;
};

LinkMonitor::LinkMonitor(std::unique_ptr<Socket> socket) : socket_(std::move(socket)) {}
LinkMonitor::LinkMonitor(LinkMonitor&&) noexcept = default;
LinkMonitor& LinkMonitor::operator=(LinkMonitor&&) noexcept = default;
LinkMonitor::~LinkMonitor() = default;

Result<LinkMonitor> LinkMonitor::open() {
  auto netlink =
      NetlinkSocket::open(NETLINK_ROUTE, "watch network interfaces", RTMGRP_LINK, SOCK_NONBLOCK);
  if (!netlink) return std::unexpected(netlink.error());
  return LinkMonitor(std::make_unique<Socket>(std::move(*netlink)));
}

int LinkMonitor::fd() const { return mnl_socket_get_fd(socket_->netlink.get()); }

LinkMonitor::News LinkMonitor::read() {
  News news;
  std::vector<char> buffer(32768);
  for (;;) {
    const auto got = mnl_socket_recvfrom(socket_->netlink.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == ENOBUFS) {
      news.overrun = true;
      continue;
    }
    if (got <= 0) return news;  // EAGAIN: that was all
    const int state =
        mnl_cb_run(buffer.data(), static_cast<std::size_t>(got), 0, 0, keep_event, &news.events);
    if (state < 0) news.overrun = true;
  }
}

struct Routes::Socket {
  NetlinkSocket netlink;
};

Routes::Routes() = default;
Routes::~Routes() = default;

Result<std::uint32_t> Routes::interface_to_peer(const Session& session) {
  const auto route = look_up(session);
  if (!route) return std::unexpected(route.error());
  return route->ifindex;
}

Result<Route> Routes::route_to(Address address) {
  Session session;
  session.peer = address;
  return look_up(session);
}

Result<Route> Routes::look_up(const Session& session) {
  const Ends ends = {session.local, session.local_ipv6, session.peer, session.peer_ipv6,
                     session.ifindex};
  if (const auto known = known_.find(ends); known != known_.end()) return known->second;
  if (!socket_) {
    auto netlink = NetlinkSocket::open(NETLINK_ROUTE, route_lookup);
    if (!netlink) return std::unexpected(netlink.error());
    socket_ = std::make_unique<Socket>(std::move(*netlink));
  }
  return known_.emplace(ends, look_up_route(socket_->netlink, session)).first->second;
}

}  // namespace moat
