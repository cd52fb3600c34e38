// SPDX-License-Identifier: BSD-2-Clause
// The CIDRs of a managed range as a file of Moat's own: 5 bytes each, so that a million are written
// and read in a moment.
//
//   "MOATCIDR" | address, most significant byte first (4) | prefix length (1) | ...
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "control/policy/policy.h"

namespace moat {

[[nodiscard]] std::string format_cidrs_list(const Prefixes& cidrs);

// Errors: not such a file, cut off, a prefix that is none.
[[nodiscard]] std::expected<Prefixes, std::string> parse_cidrs_list(std::string_view bytes);

}  // namespace moat
