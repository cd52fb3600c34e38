// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/host/stacked_links.h"

#include <linux/if.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cstring>

#include "dataplane/host/netlink_socket.h"

namespace moat {
namespace {

bool is_vlan(const nlattr* link_info) {
  bool found = false;
  const auto look = [](const nlattr* attribute, void* data) {
    if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND &&
        mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0) {
      *static_cast<bool*>(data) = std::strcmp(mnl_attr_get_str(attribute), "vlan") == 0;
    }
    return MNL_CB_OK;
  };
  mnl_attr_parse_nested(link_info, look, &found);
  return found;
}

std::string text_of(const nlattr* attribute) {
  return mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0 ? mnl_attr_get_str(attribute) : "";
}

std::vector<std::string> other_names(const nlattr* properties) {
  std::vector<std::string> names;
  const auto look = [](const nlattr* attribute, void* data) {
    if (mnl_attr_get_type(attribute) == IFLA_ALT_IFNAME)
      static_cast<std::vector<std::string>*>(data)->push_back(text_of(attribute));
    return MNL_CB_OK;
  };
  mnl_attr_parse_nested(properties, look, &names);
  return names;
}

LinkPlace place_of(const nlmsghdr* message) {
  LinkPlace place;
  const auto& info = *static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(message));
  place.ifindex = static_cast<std::uint32_t>(info.ifi_index);
  place.loopback = (info.ifi_flags & IFF_LOOPBACK) != 0;
  std::uint32_t lower = 0;
  bool vlan = false;
  bool elsewhere = false;  // the index of the lower one is another namespace's
  for_each_attribute(message, sizeof(ifinfomsg), [&](const nlattr* attribute) {
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
  auto socket = open_netlink(NETLINK_ROUTE, 0, 0, what);
  if (!socket) return std::unexpected(socket.error());
  std::array<char, 512> buffer{};
  nlmsghdr* header = mnl_nlmsg_put_header(buffer.data());
  header->nlmsg_type = RTM_GETLINK;
  header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  header->nlmsg_seq = 1;
  mnl_nlmsg_put_extra_header(header, sizeof(ifinfomsg));
  std::vector<LinkPlace> links;
  const int cause = ask(socket->get(), header, [&](const nlmsghdr* message) {
    if (message->nlmsg_type == RTM_NEWLINK &&
        mnl_nlmsg_get_payload_len(message) >= sizeof(ifinfomsg)) {
      links.push_back(place_of(message));
    }
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
