// SPDX-License-Identifier: BSD-2-Clause
// MPTCP endpoints that have a port of their own: the kernel listens there, and who has a session
// may go on with it by that port.
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/address.h"
#include "dataplane/error.h"

namespace moat {

struct MptcpEndpoint {
  std::uint8_t id = 0;  // as `ip mptcp endpoint` has it
  bool ipv6 = false;
  Address address{};    // zero for IPv6
  Address6 address6{};  // zero for IPv4
  std::uint16_t port = 0;
};

// Those of this network namespace; none, and nothing is asked of the kernel, where MPTCP is off.
[[nodiscard]] Result<std::vector<MptcpEndpoint>> mptcp_endpoints_with_port();

}  // namespace moat
