// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/host/mptcp.h"

#include <linux/genetlink.h>
#include <linux/mptcp.h>

#include <fstream>

#include "dataplane/host/netlink_socket.h"

namespace moat {
namespace {

constexpr auto listing_endpoints = "list MPTCP endpoints";

bool is_enabled() {
  int enabled = 0;
  std::ifstream("/proc/sys/net/mptcp/enabled") >> enabled;
  return enabled != 0;
}

using GenericRequest = NetlinkRequest<genlmsghdr>;

GenericRequest make_generic_request(std::uint16_t family, std::uint8_t command, int flags) {
  GenericRequest request(family, flags);
  request->cmd = command;
  request->version = 1;
  return request;
}

// The number that generic netlink has given to the family; 0: none has that name.
std::uint16_t family_number(NetlinkSocket& socket, const char* name) {
  GenericRequest request = make_generic_request(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, NLM_F_ACK);
  mnl_attr_put_strz(request.message(), CTRL_ATTR_FAMILY_NAME, name);
  std::uint16_t number = 0;
  const int cause = socket.ask(request.message(), [&](const nlmsghdr* message) {
    for_each_attribute<genlmsghdr>(message, [&](const nlattr* attribute) {
      if (mnl_attr_get_type(attribute) == CTRL_ATTR_FAMILY_ID) number = mnl_attr_get_u16(attribute);
    });
  });
  return cause == 0 ? number : std::uint16_t{0};
}

MptcpEndpoint read_endpoint(const nlattr* nest) {
  MptcpEndpoint endpoint;
  for_each_nested(nest, [&](const nlattr* attribute) {
    switch (mnl_attr_get_type(attribute)) {
      case MPTCP_PM_ADDR_ATTR_ID:
        endpoint.id = mnl_attr_get_u8(attribute);
        break;
      case MPTCP_PM_ADDR_ATTR_ADDR4:
        endpoint.address = address_of(attribute);
        break;
      case MPTCP_PM_ADDR_ATTR_ADDR6:
        if (const auto address = address6_of(attribute)) {
          endpoint.ipv6 = true;
          endpoint.address6 = *address;
        }
        break;
      case MPTCP_PM_ADDR_ATTR_PORT:
        endpoint.port = mnl_attr_get_u16(attribute);  // host byte order, alone of all here
        break;
      default:
        break;
    }
  });
  return endpoint;
}

}  // namespace

Result<std::vector<MptcpEndpoint>> mptcp_endpoints_with_port() {
  std::vector<MptcpEndpoint> endpoints;
  if (!is_enabled()) return endpoints;
  auto socket = NetlinkSocket::open(NETLINK_GENERIC, listing_endpoints);
  if (!socket) return std::unexpected(socket.error());
  const auto family = family_number(*socket, MPTCP_PM_NAME);
  if (family == 0) return endpoints;
  GenericRequest request = make_generic_request(family, MPTCP_PM_CMD_GET_ADDR, NLM_F_DUMP);
  const int cause = socket->ask(request.message(), [&](const nlmsghdr* message) {
    for_each_attribute<genlmsghdr>(message, [&](const nlattr* attribute) {
      if (mnl_attr_get_type(attribute) != MPTCP_PM_ATTR_ADDR) return;
      const auto endpoint = read_endpoint(attribute);
      if (endpoint.port != 0) endpoints.push_back(endpoint);
    });
  });
  if (cause != 0) return failed(listing_endpoints, cause);
  return endpoints;
}

}  // namespace moat
