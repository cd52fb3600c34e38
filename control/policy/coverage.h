// SPDX-License-Identifier: BSD-2-Clause
// How many addresses a database's rules let in, however they are written: 0.0.0.0/1 and 128.0.0.0/1
// are every address as well as 0.0.0.0/0 is.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "control/policy/policy.h"

namespace moat {

// All that can be a client's: 2^32 without what is_martian() names.
inline constexpr std::uint64_t kClientAddresses = (std::uint64_t{256} - 34) << 24;

// Distinct addresses that can be a client's, in any of the prefixes. Sorts them.
[[nodiscard]] std::uint64_t count_client_addresses(Prefixes prefixes);

// The number for a database that lets in half of those or more, by the rules that have not
// expired at `now`; nothing for others, which costs a look at each prefix and no more.
[[nodiscard]] std::optional<std::uint64_t> wide_coverage(const Policy& policy,
                                                         const Database& database, WallTime now);

// Whether the rules that have not expired at `now` let no address in at all.
[[nodiscard]] bool lets_nobody_in(const Policy& policy, const Database& database, WallTime now);

}  // namespace moat
