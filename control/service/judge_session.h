// SPDX-License-Identifier: BSD-2-Clause
// What rules say of a session that is there: in force, or not yet.
#pragma once

#include "control/policy/policy.h"
#include "control/service/service.h"

namespace moat {

// Fills in which database of `policy` guards the session's port and which rule allows its peer at
// `now`, whatever the mode. Without a guard it is allowed, and `database` empty.
void judge_session(SessionView& view, const Policy& policy, WallTime now);

}  // namespace moat
