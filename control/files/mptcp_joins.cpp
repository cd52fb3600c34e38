// SPDX-License-Identifier: BSD-2-Clause
#include "control/files/mptcp_joins.h"

#include <fmt/format.h>

#include "control/policy/endpoint.h"

namespace moat {

bool judges_joins(const Endpoint& endpoint, const MptcpEndpoint& by) {
  if (by.ipv6) return names_port(endpoint, by.port);  // IPv6 is guarded by port alone
  if (endpoint.address && *endpoint.address != by.address) return false;
  return endpoint.all || names_port(endpoint, by.port);
}

std::string format_mptcp_endpoint(const MptcpEndpoint& endpoint) {
  return fmt::format(
      "{} port {}",
      endpoint.ipv6 ? format_address(endpoint.address6) : format_address(endpoint.address),
      endpoint.port);
}

std::string mptcp_remedy(const MptcpEndpoint& endpoint) {
  return fmt::format(
      "add port {} to the database's endpoint, or take the MPTCP endpoint away: ip "
      "mptcp endpoint delete id {}",
      endpoint.port, endpoint.id);
}

}  // namespace moat
