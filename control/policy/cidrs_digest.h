// SPDX-License-Identifier: BSD-2-Clause
// A managed range's CIDRs in 16 hex digits, to see whether two lists say the same.
#pragma once

#include <string>

#include "control/policy/policy.h"

namespace moat {

// FNV-1a, 64 bits, over the distinct prefixes in ascending order (address, most significant byte
// first, then length): the order and the repeats of a list change nothing. No defence against
// somebody who looks for a collision.
[[nodiscard]] std::string cidrs_digest(const Prefixes& cidrs);

}  // namespace moat
