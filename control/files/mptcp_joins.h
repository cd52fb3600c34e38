// SPDX-License-Identifier: BSD-2-Clause
// MPTCP beside a guarded endpoint: who has a session may go on with it, from any address, by each
// port that the host has given an MPTCP endpoint, unless that port is guarded as well.
#pragma once

#include <string>

#include "control/policy/policy.h"
#include "dataplane/host/mptcp.h"

namespace moat {

// Whether a join at that MPTCP endpoint is judged by the rules of this one.
[[nodiscard]] bool judges_joins(const Endpoint& endpoint, const MptcpEndpoint& by);

// "198.18.0.5 port 6000"
[[nodiscard]] std::string format_mptcp_endpoint(const MptcpEndpoint& endpoint);

[[nodiscard]] std::string mptcp_remedy(const MptcpEndpoint& endpoint);

}  // namespace moat
