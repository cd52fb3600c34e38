// SPDX-License-Identifier: BSD-2-Clause
// Cgroups by their numbers, which are those of their folders and what sock_diag calls a socket's.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "dataplane/error.h"

namespace moat {

// The kernel gives the root of the hierarchy this number, and no other cgroup ever. What is mounted
// for a process in a cgroup namespace, and looks like the root to it, has another.
inline constexpr std::uint64_t root_cgroup = 1;

// Where cgroup2 is mounted: its root, or where that is nowhere to be seen, the part that a cgroup
// namespace takes for the root.
[[nodiscard]] Result<std::string> find_cgroup2();

// The folder, and all below it that can be read.
[[nodiscard]] std::map<std::uint64_t, std::string> cgroups_below(const std::string& folder);

}  // namespace moat
