// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/host/link_settings.h"

#include <fmt/format.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "dataplane/host/netlink_socket.h"

namespace moat {
namespace {

// Opens a socket, asks, and closes it. 0 or the kernel's errno.
template <typename Visit>
Result<int> ask_once(nlmsghdr* request, const std::string& what, Visit&& visit) {
  auto socket = NetlinkSocket::open(NETLINK_ROUTE, what);
  if (!socket) return std::unexpected(socket.error());
  return socket->ask(request, visit);
}

Result<> change(nlmsghdr* request, const std::string& what, std::string remedy = {}) {
  const auto cause = ask_once(request, what, [](const nlmsghdr*) {});
  if (!cause) return std::unexpected(cause.error());
  if (*cause != 0) return failed(what, *cause, std::move(remedy));
  return {};
}

LinkState state_from(const nlmsghdr* message) {
  const auto& info = *static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(message));
  LinkState state;
  state.ifindex = static_cast<std::uint32_t>(info.ifi_index);
  state.is_up = (info.ifi_flags & IFF_UP) != 0;
  state.has_carrier = (info.ifi_flags & IFF_LOWER_UP) != 0;
  state.is_promiscuous = (info.ifi_flags & IFF_PROMISC) != 0;
  for_each_attribute<ifinfomsg>(message, [&](const nlattr* attribute) {
    const auto bytes = mnl_attr_get_payload_len(attribute);
    if (mnl_attr_get_type(attribute) == IFLA_IFNAME)
      state.name = mnl_attr_get_str(attribute);
    else if (mnl_attr_get_type(attribute) == IFLA_MTU)
      state.mtu = mnl_attr_get_u32(attribute);
    else if (mnl_attr_get_type(attribute) == IFLA_ADDRESS && bytes == state.address.size())
      std::memcpy(state.address.data(), mnl_attr_get_payload(attribute), bytes);
  });
  return state;
}

Result<std::optional<LinkState>> ask_state(NetlinkRequest<ifinfomsg>& request,
                                           const std::string& what) {
  std::optional<LinkState> state;
  const auto cause = ask_once(request.message(), what, [&](const nlmsghdr* message) {
    if (message->nlmsg_type == RTM_NEWLINK) state = state_from(message);
  });
  if (!cause) return std::unexpected(cause.error());
  if (*cause == ENODEV) return std::nullopt;
  if (*cause != 0) return failed(what, *cause);
  return state;
}

NetlinkRequest<ifinfomsg> link_request(std::uint32_t ifindex, std::uint16_t type = RTM_SETLINK) {
  NetlinkRequest<ifinfomsg> request(type, NLM_F_ACK);
  request->ifi_index = static_cast<int>(ifindex);
  return request;
}

// ---- Settings ----

// Takes out when something was set and used, and whether it can be used now: the same settings are
// the same bytes, and the kernel refuses to be told its own state.
template <typename Family>
void forget_state(const nlmsghdr* message) {
  if (message->nlmsg_type == RTM_NEWROUTE)
    static_cast<rtmsg*>(mnl_nlmsg_get_payload(message))->rtm_flags &= RTNH_F_ONLINK;
  const auto clear = [](const nlattr* attribute, std::size_t from) {
    const std::size_t bytes = mnl_attr_get_payload_len(attribute);
    if (bytes > from)
      std::memset(static_cast<char*>(mnl_attr_get_payload(attribute)) + from, 0, bytes - from);
  };
  for_each_attribute<Family>(message, [&](const nlattr* attribute) {
    const auto type = mnl_attr_get_type(attribute);
    if (message->nlmsg_type == RTM_NEWADDR && type == IFA_CACHEINFO)
      clear(attribute, offsetof(ifa_cacheinfo, cstamp));  // before it: how long it is valid
    else if ((message->nlmsg_type == RTM_NEWROUTE && type == RTA_CACHEINFO) ||
             (message->nlmsg_type == RTM_NEWNEIGH && type == NDA_CACHEINFO))
      clear(attribute, 0);
  });
}

// The messages that a dump gives, as long as `keeps` says so.
template <typename Family, typename Keeps>
Result<> dump(std::uint16_t type, std::string& messages, Keeps keeps) {
  constexpr auto what = "read an interface's settings";
  NetlinkRequest<Family> request(type, NLM_F_DUMP);
  std::vector<std::string> kept;
  const auto cause = ask_once(request.message(), what, [&](const nlmsghdr* message) {
    if (mnl_nlmsg_get_payload_len(message) < sizeof(Family) || !keeps(message)) return;
    kept.emplace_back(reinterpret_cast<const char*>(message), message->nlmsg_len);
    auto* copy = reinterpret_cast<nlmsghdr*>(kept.back().data());
    copy->nlmsg_seq = copy->nlmsg_pid = 0;
    copy->nlmsg_flags = 0;
    forget_state<Family>(copy);
    kept.back().resize(MNL_ALIGN(message->nlmsg_len));
  });
  if (!cause) return std::unexpected(cause.error());
  if (*cause != 0) return failed(what, *cause);
  for (const std::string& message : kept) messages += message;
  return {};
}

template <typename Family>
const Family& family_of(const nlmsghdr* message) {
  return *static_cast<const Family*>(mnl_nlmsg_get_payload(message));
}

// The kernel makes a link-local address of the interface's own.
bool is_set_address(const nlmsghdr* message, std::uint32_t ifindex) {
  const auto& address = family_of<ifaddrmsg>(message);
  const bool is_own = address.ifa_family == AF_INET6 && address.ifa_scope == RT_SCOPE_LINK;
  return message->nlmsg_type == RTM_NEWADDR && address.ifa_index == ifindex && !is_own &&
         (address.ifa_flags & IFA_F_PERMANENT) != 0;
}

bool is_set_route(const nlmsghdr* message, std::uint32_t ifindex) {
  const auto& route = family_of<rtmsg>(message);
  if (message->nlmsg_type != RTM_NEWROUTE || (route.rtm_flags & RTM_F_CLONED) != 0) return false;
  if (route.rtm_protocol == RTPROT_KERNEL || route.rtm_protocol == RTPROT_REDIRECT ||
      route.rtm_protocol == RTPROT_RA || route.rtm_table == RT_TABLE_LOCAL)
    return false;
  bool is_by_it = false;
  for_each_attribute<rtmsg>(message, [&](const nlattr* attribute) {
    is_by_it |= mnl_attr_get_type(attribute) == RTA_OIF && mnl_attr_get_u32(attribute) == ifindex;
  });
  return is_by_it;
}

bool is_set_neighbour(const nlmsghdr* message, std::uint32_t ifindex) {
  const auto& neighbour = family_of<ndmsg>(message);
  return message->nlmsg_type == RTM_NEWNEIGH &&
         neighbour.ndm_ifindex == static_cast<int>(ifindex) &&
         (neighbour.ndm_state & NUD_PERMANENT) != 0;
}

// Takes the interface's number out (0) or puts it in. In a route it stands in an attribute.
void put_ifindex(nlmsghdr* message, std::uint32_t ifindex) {
  void* family = mnl_nlmsg_get_payload(message);
  if (message->nlmsg_type == RTM_NEWLINK) {
    static_cast<ifinfomsg*>(family)->ifi_index = static_cast<int>(ifindex);
  } else if (message->nlmsg_type == RTM_NEWADDR) {
    static_cast<ifaddrmsg*>(family)->ifa_index = ifindex;
  } else if (message->nlmsg_type == RTM_NEWNEIGH) {
    static_cast<ndmsg*>(family)->ndm_ifindex = static_cast<int>(ifindex);
  } else if (message->nlmsg_type == RTM_NEWROUTE) {
    for_each_attribute<rtmsg>(message, [&](const nlattr* attribute) {
      if (mnl_attr_get_type(attribute) == RTA_OIF)
        std::memcpy(mnl_attr_get_payload(attribute), &ifindex, sizeof ifindex);
    });
  }
}

// visit(nlmsghdr*) for each; false where the bytes are no messages.
template <typename Visit>
bool for_each_message(std::string& bytes, Visit visit) {
  std::size_t at = 0;
  while (at + sizeof(nlmsghdr) <= bytes.size()) {
    auto* message = reinterpret_cast<nlmsghdr*>(bytes.data() + at);
    if (message->nlmsg_len < MNL_NLMSG_HDRLEN + sizeof(ndmsg) ||
        at + message->nlmsg_len > bytes.size())
      return false;
    visit(message);
    at += MNL_ALIGN(message->nlmsg_len);
  }
  return at == bytes.size();
}

std::string_view kind_of(const nlmsghdr* message) {
  switch (message->nlmsg_type) {
    case RTM_NEWADDR:
      return "an address";
    case RTM_NEWROUTE:
      return "a route";
    case RTM_NEWNEIGH:
      return "a neighbour";
    default:
      return "MTU and flags";
  }
}

}  // namespace

Result<std::optional<LinkState>> link_state(const std::string& name) {
  NetlinkRequest<ifinfomsg> request(RTM_GETLINK, NLM_F_ACK);
  if (name.empty() || name.size() >= IFNAMSIZ) return std::nullopt;
  mnl_attr_put_strz(request.message(), IFLA_IFNAME, name.c_str());
  return ask_state(request, "look at interface " + name);
}

Result<std::optional<LinkState>> link_state(std::uint32_t ifindex) {
  auto request = link_request(ifindex, RTM_GETLINK);
  return ask_state(request, fmt::format("look at interface {}", ifindex));
}

Result<bool> has_default_route(std::uint32_t ifindex) {
  NetlinkRequest<rtmsg> request(RTM_GETROUTE, NLM_F_DUMP);
  bool has = false;
  const auto cause = ask_once(request.message(), "read the routes", [&](const nlmsghdr* message) {
    const auto& route = family_of<rtmsg>(message);
    if (message->nlmsg_type != RTM_NEWROUTE || route.rtm_dst_len != 0 ||
        route.rtm_type != RTN_UNICAST)
      return;
    for_each_attribute<rtmsg>(message, [&](const nlattr* attribute) {
      has |= mnl_attr_get_type(attribute) == RTA_OIF && mnl_attr_get_u32(attribute) == ifindex;
      if (mnl_attr_get_type(attribute) != RTA_MULTIPATH) return;
      const auto* hop = static_cast<const rtnexthop*>(mnl_attr_get_payload(attribute));
      int left = mnl_attr_get_payload_len(attribute);
      for (; RTNH_OK(hop, left); left -= NLMSG_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop))
        has |= hop->rtnh_ifindex == static_cast<int>(ifindex);
    });
  });
  if (!cause) return std::unexpected(cause.error());
  if (*cause != 0) return failed("read the routes", *cause);
  return has;
}

Result<> set_link_up(std::uint32_t ifindex) {
  auto request = link_request(ifindex);
  request->ifi_flags = request->ifi_change = IFF_UP;
  return change(request.message(), fmt::format("switch interface {} on", ifindex));
}

Result<> set_link_carrier(std::uint32_t ifindex, bool has_carrier) {
  auto request = link_request(ifindex);
  mnl_attr_put_u8(request.message(), IFLA_CARRIER, has_carrier);
  return change(request.message(), fmt::format("set the link state of interface {}", ifindex));
}

Result<> set_link_mtu(std::uint32_t ifindex, std::uint32_t mtu) {
  auto request = link_request(ifindex);
  mnl_attr_put_u32(request.message(), IFLA_MTU, mtu);
  return change(request.message(), fmt::format("set the MTU of interface {} to {}", ifindex, mtu));
}

Result<> move_link(std::uint32_t ifindex, int netns) {
  auto request = link_request(ifindex);
  mnl_attr_put_u32(request.message(), IFLA_NET_NS_FD, static_cast<std::uint32_t>(netns));
  return change(request.message(),
                fmt::format("move interface {} to another network namespace", ifindex),
                "take it out of its bridge or bond");
}

// A driver may have one of its own beside the kernel's generic one.
void remove_xdp_programs(std::uint32_t ifindex) {
  for (const std::uint32_t mode : {XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE}) {
    auto request = link_request(ifindex);
    nlattr* xdp = mnl_attr_nest_start(request.message(), IFLA_XDP);
    mnl_attr_put_u32(request.message(), IFLA_XDP_FD, static_cast<std::uint32_t>(-1));
    mnl_attr_put_u32(request.message(), IFLA_XDP_FLAGS, mode);
    mnl_attr_nest_end(request.message(), xdp);
    (void)change(request.message(), "take XDP programs off");  // a driver without XDP refuses
  }
}

Result<LinkSettings> LinkSettings::read(std::uint32_t ifindex) {
  const auto state = link_state(ifindex);
  if (!state) return std::unexpected(state.error());
  if (!*state)
    return std::unexpected(Error{fmt::format("there is no interface number {}", ifindex), {}});
  auto link = link_request(ifindex, RTM_NEWLINK);
  link.message()->nlmsg_flags = 0;
  link.message()->nlmsg_seq = 0;
  link->ifi_change = IFF_UP;
  link->ifi_flags = (*state)->is_up ? unsigned{IFF_UP} : 0;
  mnl_attr_put_u32(link.message(), IFLA_MTU, (*state)->mtu);

  LinkSettings settings;
  settings.messages_.assign(reinterpret_cast<const char*>(link.message()),
                            link.message()->nlmsg_len);
  Result<> read = dump<ifaddrmsg>(RTM_GETADDR, settings.messages_, [&](const nlmsghdr* message) {
    return is_set_address(message, ifindex);
  });
  // IPv4 routes are refused while what their gateway is reached by is not there.
  for (const bool by_gateway : {false, true})
    if (read)
      read = dump<rtmsg>(RTM_GETROUTE, settings.messages_, [&](const nlmsghdr* message) {
        return is_set_route(message, ifindex) &&
               (family_of<rtmsg>(message).rtm_scope == RT_SCOPE_UNIVERSE) == by_gateway;
      });
  if (read)
    read = dump<ndmsg>(RTM_GETNEIGH, settings.messages_,
                       [&](const nlmsghdr* message) { return is_set_neighbour(message, ifindex); });
  if (!read) return std::unexpected(read.error());
  for_each_message(settings.messages_, [](nlmsghdr* message) { put_ifindex(message, 0); });
  return settings;
}

std::optional<LinkSettings> LinkSettings::parse(std::string bytes) {
  LinkSettings settings;
  settings.messages_ = std::move(bytes);
  if (!for_each_message(settings.messages_, [](nlmsghdr*) {})) return {};
  return settings;
}

Result<> LinkSettings::apply(std::uint32_t ifindex) const {
  auto socket = NetlinkSocket::open(NETLINK_ROUTE, "set an interface up");
  if (!socket) return std::unexpected(socket.error());
  std::string messages = messages_, failures;
  for_each_message(messages, [&](nlmsghdr* message) {
    put_ifindex(message, ifindex);
    message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    if (message->nlmsg_type != RTM_NEWLINK) message->nlmsg_flags |= NLM_F_CREATE | NLM_F_REPLACE;
    const int cause = socket->ask(message, [](const nlmsghdr*) {});
    if (cause != 0)
      failures += fmt::format("{}{}: {}", failures.empty() ? "" : ", ", kind_of(message),
                              errno_words(cause));
  });
  if (!failures.empty())
    return std::unexpected(Error{fmt::format("set interface {}: {}", ifindex, failures), {}});
  return {};
}

bool LinkSettings::has_addresses() const {
  bool has = false;
  std::string messages = messages_;
  for_each_message(messages, [&](nlmsghdr* message) { has |= message->nlmsg_type == RTM_NEWADDR; });
  return has;
}

struct SettingsMonitor::Socket {
  NetlinkSocket netlink;
};

SettingsMonitor::SettingsMonitor(std::unique_ptr<Socket> socket) : socket_(std::move(socket)) {}
SettingsMonitor::SettingsMonitor(SettingsMonitor&&) noexcept = default;
SettingsMonitor& SettingsMonitor::operator=(SettingsMonitor&&) noexcept = default;
SettingsMonitor::~SettingsMonitor() = default;

Result<SettingsMonitor> SettingsMonitor::open() {
  constexpr unsigned groups = RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
                              RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
  auto netlink =
      NetlinkSocket::open(NETLINK_ROUTE, "watch an interface's settings", groups, SOCK_NONBLOCK);
  if (!netlink) return std::unexpected(netlink.error());
  return SettingsMonitor(std::make_unique<Socket>(std::move(*netlink)));
}

int SettingsMonitor::fd() const { return mnl_socket_get_fd(socket_->netlink.get()); }

bool SettingsMonitor::drain() {
  std::array<char, 32768> buffer;
  bool has_news = false;
  for (;;) {
    const auto got = mnl_socket_recvfrom(socket_->netlink.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno != ENOBUFS) return has_news;  // EAGAIN: that was all
    has_news = true;
  }
}

}  // namespace moat
