// SPDX-License-Identifier: BSD-2-Clause
// What a change of the policy comes to, in one line for the log.
#pragma once

#include <string>

#include "control/policy/policy.h"

namespace moat {

// "orders: added 203.0.113.0/24, removed mr-x; managed range mr-y: 3 -> 5 CIDRs". Empty if
// no verdict, no label and no net peering changes.
[[nodiscard]] std::string describe_change(const Policy& before, const Policy& after);

}  // namespace moat
