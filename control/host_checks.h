// SPDX-License-Identifier: BSD-2-Clause
// What is sound in a file and yet wrong on this host.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "control/fault.h"
#include "control/policy.h"
#include "dataplane/mptcp.h"

namespace moat {

struct PortRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0;  // included

  [[nodiscard]] bool contains(std::uint16_t port) const { return first <= port && port <= last; }
  friend bool operator==(const PortRange&, const PortRange&) = default;
};

struct HostFacts {
  PortRange ephemeral{32768, 60999};  // ports of the host's own connections: ip_local_port_range
  std::vector<PortRange> reserved;    // taken out of those: ip_local_reserved_ports
  std::vector<Address> addresses;     // of all interfaces, loopback ones left out
  std::vector<MptcpEndpoint> mptcp;   // those with a port of their own
  std::vector<std::uint16_t> ipv6_ports;  // TCP, on which something hears other hosts by IPv6
};

// Of this host and network namespace, now. What cannot be read stays as by default.
[[nodiscard]] HostFacts read_host_facts();

// The kernel's way to write ports: "1,5-7".
[[nodiscard]] std::vector<PortRange> parse_port_ranges(std::string_view text);

// Faults of the endpoint written at `place`: warnings of ports that the host may take for its own
// connections, of an address that no interface has, of MPTCP endpoints by which clients may go on,
// and of `ports: all` that leaves IPv6 open and does not say so; an error where that takes the
// host's only address and with it all replies to the host, a warning if `is_forced`.
[[nodiscard]] Faults check_on_host(const Endpoint& endpoint, const Place& place,
                                   const HostFacts& host, bool is_forced);

}  // namespace moat
