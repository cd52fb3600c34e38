// SPDX-License-Identifier: BSD-2-Clause
// Rule files that are not in force yet.
#pragma once

#include <string>
#include <string_view>
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

// Databases in force that `wanted` does not name: a file that is absent ends no guard. Without
// those whose files are moat-agent's, which come and go by it.
[[nodiscard]] std::vector<DatabaseView> find_unnamed(const std::vector<DatabaseView>& databases,
                                                     const Policy& wanted);
// "database orders has no file in DIR: it stays guarded with its last 4 rules until moat databases
// forget orders"
[[nodiscard]] std::string describe_unnamed(const DatabaseView& database, std::string_view folder);
// The managed ranges of the host, as they are in force.
[[nodiscard]] ClientResult<std::vector<ManagedRange>> read_hosts_ranges(const Client& client);

}  // namespace moat
