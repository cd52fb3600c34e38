// SPDX-License-Identifier: BSD-2-Clause
// Rule files that are not in force yet.
#pragma once

#include <string>
#include <vector>

#include "control/cli/client.h"
#include "control/cli/rule_load.h"

namespace moat {

// Whose managed ranges the rules are read with.
enum class WhoseRanges {
  folders,  // the folder's, and the host's where it has no folder for them
  hosts,
};

// Those in a folder; refused if they have errors, as moatd would not enforce them. Tells where
// moat.yaml is missing.
[[nodiscard]] ClientResult<LoadedRules> load_candidate(const Client& client,
                                                       const std::string& folder,
                                                       WhoseRanges whose = WhoseRanges::folders);

// The managed ranges of the host, as they are in force.
[[nodiscard]] ClientResult<std::vector<ManagedRange>> read_hosts_ranges(const Client& client);

}  // namespace moat
