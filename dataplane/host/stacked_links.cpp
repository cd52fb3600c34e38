// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/host/stacked_links.h"

#include <linux/if.h>
#include <linux/rtnetlink.h>

#include <algorithm>

#include "dataplane/host/netlink_socket.h"

namespace moat {
namespace {

bool is_vlan(const nlattr* link_info) {
  bool found = false;
  for_each_nested(link_info, [&](const nlattr* attribute) {
    if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND) found = text_of(attribute) == "vlan";
  });
  return found;
}

std::vector<std::string> other_names(const nlattr* properties) {
  std::vector<std::string> names;
  for_each_nested(properties, [&](const nlattr* attribute) {
    if (mnl_attr_get_type(attribute) == IFLA_ALT_IFNAME) names.push_back(text_of(attribute));
  });
  return names;
}

LinkPlace place_of(const nlmsghdr* message, const ifinfomsg& info) {
  LinkPlace place;
  place.ifindex = static_cast<std::uint32_t>(info.ifi_index);
  place.loopback = (info.ifi_flags & IFF_LOOPBACK) != 0;
  std::uint32_t lower = 0;
  bool vlan = false;
  bool elsewhere = false;  // the index of the lower one is another namespace's
  for_each_attribute<ifinfomsg>(message, [&](const nlattr* attribute) {
    switch (mnl_attr_get_type(attribute)) {
      case IFLA_IFNAME:
        place.name = text_of(attribute);
        break;
      case IFLA_PROP_LIST:
        place.other_names = other_names(attribute);
        break;
      case IFLA_LINK:
        lower = mnl_attr_get_u32(attribute);
        break;
      case IFLA_LINK_NETNSID:
        elsewhere = true;
        break;
      case IFLA_LINKINFO:
        vlan = is_vlan(attribute);
        break;
      case IFLA_MASTER:
        place.master = mnl_attr_get_u32(attribute);
        break;
      default:
        break;
    }
  });
  if (vlan && !elsewhere) place.vlan_on = lower;
  return place;
}

}  // namespace

Result<std::vector<LinkPlace>> list_links() {
  constexpr auto what = "list network interfaces";
  auto socket = NetlinkSocket::open(NETLINK_ROUTE, what);
  if (!socket) return std::unexpected(socket.error());
  NetlinkRequest<ifinfomsg> request(RTM_GETLINK, NLM_F_DUMP);
  std::vector<LinkPlace> links;
  const int cause = socket->ask(request.message(), [&](const nlmsghdr* message) {
    const auto* info = header_of<ifinfomsg>(message);
    if (message->nlmsg_type == RTM_NEWLINK && info != nullptr)
      links.push_back(place_of(message, *info));
  });
  if (cause != 0) return netlink_error(what, cause);
  return links;
}

std::map<std::string, const LinkPlace*> by_name(const std::vector<LinkPlace>& links) {
  std::map<std::string, const LinkPlace*> named;
  for (const LinkPlace& link : links) {
    named[link.name] = &link;
    for (const auto& name : link.other_names) named[name] = &link;
  }
  return named;
}

std::set<std::uint32_t> with_stacked(const std::vector<LinkPlace>& links,
                                     std::set<std::uint32_t> seen) {
  const auto all_ports_seen = [&](std::uint32_t master) {
    return std::ranges::all_of(links, [&](const LinkPlace& link) {
      return link.master != master || seen.contains(link.ifindex);
    });
  };
  for (std::size_t before = 0; before != seen.size();) {
    before = seen.size();
    for (const LinkPlace& link : links) {
      if (seen.contains(link.vlan_on)) seen.insert(link.ifindex);
      if (link.master != 0 && all_ports_seen(link.master)) seen.insert(link.master);
    }
  }
  return seen;
}

}  // namespace moat
