// SPDX-License-Identifier: BSD-2-Clause
// Cgroups by their numbers, which are those of their folders and what sock_diag calls a socket's.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace moat {

// The folder, and all below it that can be read.
[[nodiscard]] std::map<std::uint64_t, std::string> cgroups_below(const std::string& folder);

}  // namespace moat
