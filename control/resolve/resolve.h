// SPDX-License-Identifier: BSD-2-Clause
// From what the files say and what was last enforced to what shall be enforced next. Pure, so that
// every case of a bad, vanished, renamed, conflicting or first-start file is a row in a test.
//
//   files on disk --read--> Reading of each --+
//                                             +--> Resolution { state, files, ... }
//   what was last enforced -------------------+
//
// What it keeps to:
//   - A file that cannot be used holds back only itself: what it speaks of stays as last enforced.
//   - Identity is the id. A path serves as a guess only: for a file too broken to tell its id, and
//     to say which of several files with one id is the enforced one.
//   - In a conflict the enforced one keeps what it has. Between newcomers both are held back.
//   - A database without a last state is SEALED while its file is held back: its endpoint is
//     guarded and nobody allowed. A placeholder is a stopgap, not an enforced state: it wins no
//     conflict, and follows what its file says as long as the endpoint can be read.
//   - Absent is not empty: a file that vanishes changes nothing.
//   - A version of a file by which an expectation would no longer hold is held back: expectations.h.
//   - What leaves a managed range stays allowed for a while, and what changes too much at once is
//     held back: hold_down.h.
#pragma once

#include <map>
#include <set>
#include <string>

#include "control/files/rule_files.h"
#include "control/resolve/hold_down.h"
#include "control/resolve/resolution.h"

namespace moat {

// `last`: what was enforced last, or null at a first start. `forgotten`: ids whose guard the
// operator ended; they are not carried over (a file that names one guards it again). `held`: files
// to hold back, by path, and why.
[[nodiscard]] Resolution resolve(const RuleFiles& files, Mode host_mode, const EnforcedState* last,
                                 const std::set<std::string>& forgotten = {},
                                 const std::map<std::string, Fault>& held = {},
                                 const ResolveTime& time = {}, const RangeUpdates& updates = {});

// Ends all that is held down, for whoever finds that there is no room for it; says so in `not_held`
// and the histories. False: nothing is held down.
bool drop_held_down(Resolution& resolution);

}  // namespace moat
