// SPDX-License-Identifier: BSD-2-Clause
// What is sound in a file and yet wrong on this host.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "control/files/reading.h"
#include "control/policy/policy.h"
#include "control/policy/port_range.h"
#include "control/text/fault.h"
#include "dataplane/host/link_names.h"
#include "dataplane/host/mptcp.h"
#include "dataplane/host/stacked_links.h"

namespace moat {

struct HostFacts {
  PortRange ephemeral{32768, 60999};  // ports of the host's own connections: ip_local_port_range
  std::vector<PortRange> reserved;    // taken out of those: ip_local_reserved_ports
  // Of all endpoints that are looked at with this one: the setting is one for all of them.
  std::vector<std::uint16_t> guarded;
  std::vector<Address> addresses;         // host_addresses()
  std::vector<MptcpEndpoint> mptcp;       // those with a port of their own
  std::vector<std::uint16_t> ipv6_ports;  // TCP, on which something hears other hosts by IPv6
  bool is_forwarding = false;  // for others, as a router or a host of guests does: ip_forward
  std::vector<LinkNames> interfaces;  // nothing: they could not be read
  std::vector<LinkPlace> links;       // the same, and how they stand on each other
  std::vector<PortRange> cpus;        // that are online; nothing: it could not be read
};

// Of this host and network namespace, now. What cannot be read stays as by default.
[[nodiscard]] HostFacts read_host_facts();

// IPv4, of all interfaces, loopback ones left out; ascending.
[[nodiscard]] std::vector<Address> host_addresses();

// IPv6, of all interfaces, loopback ones left out.
[[nodiscard]] std::vector<Address6> host_ipv6_addresses();

// Whether the endpoint is every port of the one address that the host has, SSH included.
[[nodiscard]] bool takes_only_address(const Endpoint& endpoint,
                                      const std::vector<Address>& host_addresses);
// "database orders closes every port of this host's only address, SSH included, to all but its
// rules". `closes`: or "would close".
[[nodiscard]] std::string describe_taken_address(std::string_view database,
                                                 std::string_view closes);

// Whether what the host sends to itself passes: nothing judges it, or its loopback interface is
// trusted.
[[nodiscard]] bool lets_own_traffic_by(const Config& config,
                                       const std::vector<LinkNames>& interfaces);

// The kernel's way to write ports: "1,5-7".
[[nodiscard]] std::vector<PortRange> parse_port_ranges(std::string_view text);

// Faults of the endpoint written at `place`: warnings of ports that the host may take for its own
// connections, of ports that are closed to what the host forwards too, of an address that no
// interface has, of MPTCP endpoints by which clients may go on, and of `ports: all` that leaves
// IPv6 open and does not say so; an error where that takes the host's only address and with it all
// replies to the host, a warning if `is_forced`.
[[nodiscard]] Faults check_on_host(const Endpoint& endpoint, const Place& place,
                                   const HostFacts& host, bool is_forced);

// Faults of what moat.yaml names: warnings of interfaces, CPUs and a cgroup that the host has not,
// of interfaces that Moat's program cannot be on, of those both guarded and trusted, and of those
// that stay open without the backstop; and those of find_loopback().
[[nodiscard]] Faults check_on_host(const ConfigResult& config, const HostFacts& host);

// An error for each of the guarded interfaces that is the loopback device by another name.
[[nodiscard]] Faults find_loopback(const ConfigResult& config,
                                   const std::vector<LinkNames>& interfaces);

// Interfaces by which packets come that no program of Moat's sees where there is no backstop:
// neither one of `attached` nor one that is trusted brings them.
[[nodiscard]] std::vector<std::string> open_interfaces(const std::vector<LinkPlace>& links,
                                                       const std::vector<std::string>& attached,
                                                       const std::vector<std::string>& trusted);

// "eth1, eth2, eth3 and 4 more"
[[nodiscard]] std::string list_interfaces(const std::vector<std::string>& names);

[[nodiscard]] bool has_interface(const std::vector<LinkNames>& interfaces, const std::string& name);

// What to do about a name that none of them has: the nearest one that is not among `named` already.
[[nodiscard]] std::string interface_remedy(const std::string& name,
                                           const std::vector<LinkNames>& interfaces,
                                           const std::vector<std::string>& named);

}  // namespace moat
