// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/host/stacked_links.h"

#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <algorithm>

#include "dataplane/host/netlink_socket.h"

namespace moat {
namespace {

std::string kind_of(const nlattr* link_info) {
  std::string kind;
  for_each_nested(link_info, [&](const nlattr* attribute) {
    if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND) kind = text_of(attribute);
  });
  return kind;
}

std::vector<std::string> other_names(const nlattr* properties) {
  std::vector<std::string> names;
  for_each_nested(properties, [&](const nlattr* attribute) {
    if (mnl_attr_get_type(attribute) == IFLA_ALT_IFNAME) names.push_back(text_of(attribute));
  });
  return names;
}

// What it is in one mode alone stands there twice, which does no harm.
std::vector<std::uint32_t> xdp_programs(const nlattr* xdp) {
  std::vector<std::uint32_t> programs;
  for_each_nested(xdp, [&](const nlattr* attribute) {
    switch (mnl_attr_get_type(attribute)) {
      case IFLA_XDP_PROG_ID:
      case IFLA_XDP_DRV_PROG_ID:
      case IFLA_XDP_SKB_PROG_ID:
      case IFLA_XDP_HW_PROG_ID:
        programs.push_back(mnl_attr_get_u32(attribute));
        break;
      default:
        break;
    }
  });
  return programs;
}

LinkPlace place_of(const nlmsghdr* message, const ifinfomsg& info) {
  LinkPlace place;
  place.ifindex = static_cast<std::uint32_t>(info.ifi_index);
  place.loopback = (info.ifi_flags & IFF_LOOPBACK) != 0;
  place.up = (info.ifi_flags & IFF_UP) != 0;
  place.hardware_type = info.ifi_type;
  std::uint32_t lower = 0;
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
        place.kind = kind_of(attribute);
        break;
      case IFLA_XDP:
        place.xdp_programs = xdp_programs(attribute);
        break;
      case IFLA_MASTER:
        place.master = mnl_attr_get_u32(attribute);
        break;
      default:
        break;
    }
  });
  if (place.kind == "vlan" && !elsewhere) place.vlan_on = lower;
  return place;
}

// A program on it sees what its ports bring to the host.
bool takes_from_ports(const LinkPlace& link) {
  return link.kind == "bridge" || link.kind == "bond" || link.kind == "team";
}

// Nothing from elsewhere comes by these.
bool brings_nothing(const LinkPlace& link) {
  return link.loopback || link.kind == "dummy" || link.kind == "ifb" || link.kind == "nlmon" ||
         link.kind == "vrf";
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
  if (cause != 0) return failed(what, cause);
  return links;
}

bool has_ethernet_header(int hardware_type) {
  return hardware_type == ARPHRD_ETHER || hardware_type == ARPHRD_LOOPBACK;
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

std::vector<std::string> unseen_links(const std::vector<LinkPlace>& links,
                                      const std::set<std::uint32_t>& seen) {
  const auto covered = with_stacked(links, seen);
  const auto is_stood_for = [&](const LinkPlace& link) {
    const auto master = std::ranges::find(links, link.master, &LinkPlace::ifindex);
    return link.vlan_on != 0 || (master != links.end() && master->up && takes_from_ports(*master));
  };
  std::vector<std::string> names;
  for (const LinkPlace& link : links) {
    if (!link.up || brings_nothing(link) || is_stood_for(link)) continue;
    if (!covered.contains(link.ifindex)) names.push_back(link.name);
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace moat
