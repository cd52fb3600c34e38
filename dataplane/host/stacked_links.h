// SPDX-License-Identifier: BSD-2-Clause
// The interfaces of this network namespace, and which of them stand on others: a VLAN on a NIC, a
// bridge or a bond over its ports. What a program on the lower one has seen comes in by the upper
// one.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "dataplane/error.h"

namespace moat {

struct LinkPlace {
  std::uint32_t ifindex = 0;
  std::uint32_t vlan_on = 0;  // the interface that this is a VLAN of; 0: it is none
  std::uint32_t master = 0;   // the bridge, bond, ... that this is a port of; 0: of none
  std::string name = {};      // the kernel's
  std::vector<std::string> other_names = {};  // of `ip link property`
  bool loopback = false;
  bool up = false;
  int hardware_type = 1;                         // ARPHRD_*; 1: Ethernet
  std::string kind = {};                         // "vlan", "bridge", ...; empty: a NIC, as a rule
  std::vector<std::uint32_t> xdp_programs = {};  // ids of those attached, one a mode
};

[[nodiscard]] Result<std::vector<LinkPlace>> list_links();

// Whether frames of interfaces of that type begin with an Ethernet header. Those of a TUN device or an
// IP tunnel do not. The kernel attaches a program there all the same, which would take addresses for a
// header and let everything pass.
[[nodiscard]] bool has_ethernet_header(int hardware_type);

// The interfaces by each name that they have. `links` must outlive this.
[[nodiscard]] std::map<std::string, const LinkPlace*> by_name(const std::vector<LinkPlace>& links);

// `seen`, and all that gets its packets from those alone: their VLANs, and the masters that have no
// other port. Not macvlans, which bring packets of each other's as well.
[[nodiscard]] std::set<std::uint32_t> with_stacked(const std::vector<LinkPlace>& links,
                                                   std::set<std::uint32_t> seen);

// Names of the interfaces that are up and bring packets which none of `seen` brought. A VLAN's NIC
// stands for it, and for ports their bridge or bond. Ascending.
[[nodiscard]] std::vector<std::string> unseen_links(const std::vector<LinkPlace>& links,
                                                    const std::set<std::uint32_t>& seen);

}  // namespace moat
