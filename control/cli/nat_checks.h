// SPDX-License-Identifier: BSD-2-Clause
// What the NAT rules of a host do to guarded ports. Moat judges a packet as it is on the wire, by
// its program on the NIC, and once more at a local socket, by the backstop. NAT is between the two.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "control/cli/nat_rules.h"
#include "control/files/host_checks.h"

namespace moat {

struct NatFinding {
  std::size_t endpoint = 0;  // the index of the one that it is about
  std::string message;
  std::string remedy;
  std::uint32_t ports = 0;  // how many lead past the guard; 0: Moat cannot tell
};

// Ports that no database guards and that a rule leads to a guarded port: of a container or of
// another host, which no backstop sees; and of this host, where there is no backstop. `databases`:
// the ids of those that have the endpoints, for the remedies.
[[nodiscard]] std::vector<NatFinding> find_ways_round(
    const std::vector<Endpoint>& endpoints, const std::vector<NatRule>& rules,
    const HostFacts& host, bool has_backstop, const std::vector<std::string>& databases = {});

// Guarded ports that a rule may give to a connection for its source, so that the replies are
// dropped: one finding an endpoint.
//
// The kernel (nf_nat_l4proto_unique_tuple) keeps the connection's own port where that is free and
// the rule says nothing of ports. Else it begins at random among those of the rule, or, for a
// connection whose own is 1024 or higher, among 1024 to 65535; it asks about no local socket.
[[nodiscard]] std::vector<NatFinding> find_taken_ports(const std::vector<Endpoint>& endpoints,
                                                       const std::vector<NatRule>& rules,
                                                       const HostFacts& host);

}  // namespace moat
