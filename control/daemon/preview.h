// SPDX-License-Identifier: BSD-2-Clause
// What a change would do to who is connected and to what is closed, found before it is made.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "control/daemon/rule_edits.h"
#include "control/files/reading.h"
#include "control/policy/policy.h"
#include "control/service/service.h"

namespace moat {

// A change as it is planned.
struct PlannedChange {
  std::vector<Edit> edits;
  Faults warnings = {};
  std::string forgotten = {};                        // a database
  std::map<std::string, std::string> accepted = {};  // digests, by managed range
};

// What is in force, or would be.
struct Enforcement {
  const Policy& policy;
  const Config& config;
};

// A sentence for each thing that is closed `before` and is not `after`:
// - a port that nobody guards any more, or another database that is in monitor mode or lets in more
// - a port, or the whole host, that is closed to IPv6 no longer
// - a network of more than a /8 (2^24 addresses) that a rule lets in, by whatever it names, and
//   networks that are half of all addresses together: new, or for longer than they were to
// - a database that goes to monitor mode
// - an interface that loses the program or becomes trusted; a backstop that is off or kept to a
//   cgroup; a guard of managed ranges that is off or lets more through; sessions that are not ended
[[nodiscard]] std::vector<std::string> find_openings(const Enforcement& before,
                                                     const Enforcement& after, WallTime now);

// Fills in `ends`, `rules` and `needs_yes`. `sessions`: those on ports that `after` guards, as they
// are by the rules in force; `rules`: these; `opens` is to be filled in before.
void add_ends(const std::vector<SessionView>& sessions, const std::vector<RuleView>& rules,
              const Policy& after, WallTime now, PreviewView& preview);

}  // namespace moat
