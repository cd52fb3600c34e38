// SPDX-License-Identifier: BSD-2-Clause
// Runs the programs that list the rules of other firewalls on this host.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "dataplane/error.h"

namespace moat {

// What nft or iptables-save says. Waits as long as whoever waits for a command may.
[[nodiscard]] Result<std::string> read_host_rules(const std::string& program,
                                                  const std::vector<std::string>& arguments);

// Whether the kernel has that table of the older iptables, which nft does not know. Asking
// iptables-legacy-save would make the table that it is asked about. Family: "ip" or "ip6".
[[nodiscard]] bool has_legacy_table(std::string_view family, std::string_view table);

}  // namespace moat
