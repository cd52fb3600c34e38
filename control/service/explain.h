// SPDX-License-Identifier: BSD-2-Clause
// Why a source gets what it gets, in words. Pure: the daemon asks it about the live policy, and the
// command about one read from files.
#pragma once

#include <string>
#include <vector>

#include "control/policy/policy.h"
#include "control/service/service.h"

namespace moat {

// One answer a database, by id; `database` empty: all of them, and none if the policy does not know
// it. Says what the oracle says. Left for the caller: generation, last_hit and table_agrees.
//
// For a source that matches nothing, `detail` names what comes nearest: a rule that has expired, or
// the prefix with the nearest border; `place` is then that of the rule spoken of.
[[nodiscard]] std::vector<WhyView> explain(const Policy& policy, Address source,
                                           const std::string& database, WallTime now);

}  // namespace moat
