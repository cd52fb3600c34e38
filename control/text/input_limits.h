// SPDX-License-Identifier: BSD-2-Clause
// The limits on what people write. Those that the data plane shares are in bpf/abi.h.
#pragma once

#include <cstddef>

#include "bpf/abi.h"

namespace moat::limits {

inline constexpr std::size_t databases = MOAT_MAX_DATABASES;
inline constexpr std::size_t rules = MOAT_MAX_RULES;        // a database, whatever each names
inline constexpr std::size_t peerings = MOAT_MAX_PEERINGS;  // registered, a database
inline constexpr std::size_t expectations = 64;             // a database
inline constexpr std::size_t ports = MOAT_MAX_PORTS;        // a database
inline constexpr std::size_t prefixes = 1'000'000;          // in one generation

inline constexpr std::size_t file_bytes = std::size_t{16} << 20;
inline constexpr std::size_t cidrs_file_bytes = std::size_t{64} << 20;
inline constexpr int nesting = 32;           // levels of YAML
inline constexpr std::size_t id_bytes = 63;  // [a-z0-9] then [a-z0-9._-]
inline constexpr std::size_t label_bytes = 255;
inline constexpr std::size_t path_bytes = 4095;  // as the kernel takes it
inline constexpr std::size_t faults = 100;       // reported a file; more are counted

}  // namespace moat::limits
