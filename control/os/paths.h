// SPDX-License-Identifier: BSD-2-Clause
// Where things are unless a command line says otherwise.
#pragma once

#include <string_view>

namespace moat::paths {

inline constexpr std::string_view config = "/etc/moat/moat.yaml";
inline constexpr std::string_view socket = "/run/moat/moatd.sock";
inline constexpr std::string_view bpffs = "/sys/fs/bpf/moat";
inline constexpr std::string_view state = "/var/lib/moat";
inline constexpr std::string_view fast_path = "/run/moat-dpdk";

}  // namespace moat::paths
