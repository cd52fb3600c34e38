// SPDX-License-Identifier: BSD-2-Clause
// What a change of the policy comes to, in one line for the log.
#pragma once

#include <string>

#include "control/policy/policy.h"

namespace moat {

// "orders: added 203.0.113.0/24, removed mr-x; managed range mr-y: 3 -> 5 CIDRs". Empty if
// no verdict, no label and no net peering changes.
[[nodiscard]] std::string describe_change(const Policy& before, const Policy& after);

// What time alone has changed of it between the two: "orders: 203.0.113.0/24 has expired; managed
// range mr-y: 2 CIDRs no longer held down". A clock that was set back may have let some in again.
[[nodiscard]] std::string describe_expiries(const Policy& policy, WallTime from, WallTime to);

}  // namespace moat
