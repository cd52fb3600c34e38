// SPDX-License-Identifier: BSD-2-Clause
// What of Moat is pinned on a bpf filesystem, by name, and what is in it: as one who pins has it, and one
// who only looks at the pins while no moatd runs.
#pragma once

#include <array>
#include <cstdint>

namespace moat {

namespace pin {
inline constexpr auto program = "xdp";        // the program on NICs
inline constexpr auto backstop = "backstop";  // the one at sockets
inline constexpr auto input = "input";        // the one before sockets
inline constexpr auto links = "links";        // a folder: the link of each NIC, by its name
inline constexpr auto backstop_link = "backstop-link";
inline constexpr auto input_link_ipv4 = "input-link-ipv4";
inline constexpr auto input_link_ipv6 = "input-link-ipv6";
inline constexpr auto netns = "netns";            // a map: which network namespace all this is of
inline constexpr auto table = "table-";           // and the generation: the live inner map
inline constexpr auto next_table = "table-next";  // one that is not live yet
inline constexpr auto closed = "policy-closed";   // what is enforced where no table is live
// The outer maps; the first of them that has a table has the live one.
inline constexpr std::array policies = {"policy-small", "policy-medium", "policy-large"};
inline constexpr auto next = "-next";  // behind a program's name, while that is replaced
}  // namespace pin

// A network namespace. The kernel gives each a cookie that no other gets until the next boot; the inode is
// what `lsns` and /proc show, and is another's once the namespace is gone. As the map `netns` has it.
struct Netns {
  std::uint64_t cookie = 0;
  std::uint64_t inode = 0;
};

// BPF_LINK_TYPE_NETFILTER, which the headers of Debian 12 lack.
inline constexpr std::uint32_t netfilter_link_type = 10;

}  // namespace moat
