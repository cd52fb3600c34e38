// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/link_names.h"

#include <linux/if.h>
#include <linux/rtnetlink.h>

#include "dataplane/netlink_socket.h"

namespace moat {
namespace {

void add_name(const nlattr* attribute, std::vector<std::string>& names) {
  if (mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0) {
    names.emplace_back(mnl_attr_get_str(attribute));
  }
}

int add_other_name(const nlattr* attribute, void* data) {
  if (mnl_attr_get_type(attribute) == IFLA_ALT_IFNAME) {
    add_name(attribute, *static_cast<std::vector<std::string>*>(data));
  }
  return MNL_CB_OK;
}

LinkNames names_of(const nlmsghdr* message) {
  LinkNames link;
  const auto& info = *static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(message));
  link.loopback = (info.ifi_flags & IFF_LOOPBACK) != 0;
  // The kernel puts the name before the list of the others.
  for_each_attribute(message, sizeof(ifinfomsg), [&](const nlattr* attribute) {
    if (mnl_attr_get_type(attribute) == IFLA_IFNAME) add_name(attribute, link.names);
    if (mnl_attr_get_type(attribute) == IFLA_PROP_LIST) {
      mnl_attr_parse_nested(attribute, add_other_name, &link.names);
    }
  });
  return link;
}

}  // namespace

Result<std::vector<LinkNames>> list_link_names() {
  constexpr auto what = "list network interfaces";
  auto socket = open_netlink(NETLINK_ROUTE, 0, 0, what);
  if (!socket) return std::unexpected(socket.error());
  std::array<char, 512> buffer{};
  nlmsghdr* header = mnl_nlmsg_put_header(buffer.data());
  header->nlmsg_type = RTM_GETLINK;
  header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  header->nlmsg_seq = 1;
  mnl_nlmsg_put_extra_header(header, sizeof(ifinfomsg));
  std::vector<LinkNames> links;
  const int cause = ask(socket->get(), header, [&](const nlmsghdr* message) {
    if (message->nlmsg_type == RTM_NEWLINK &&
        mnl_nlmsg_get_payload_len(message) >= sizeof(ifinfomsg)) {
      links.push_back(names_of(message));
    }
  });
  if (cause != 0) return netlink_error(what, cause);
  return links;
}

}  // namespace moat
