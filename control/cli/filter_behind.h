// SPDX-License-Identifier: BSD-2-Clause
// What the other firewalls of this host do to a packet that Moat lets in.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "control/cli/filter_rules.h"

namespace moat {

// Their rules, as the programs that list them say; in this network namespace, now.
struct HostFilters {
  std::string nft;                                            // empty: it could not be asked
  std::vector<std::pair<std::string, std::string>> iptables;  // program and what it says
  std::vector<std::string> unread;  // what was not looked at, a sentence each
};

// Needs root.
[[nodiscard]] HostFilters read_host_filters();

struct DropBehind {
  bool is_certain = false;
  std::string by;         // which table, chain and rule
  std::string condition;  // why it is not certain
};

// Nothing: none that is known. What could not be read is added to filters.unread.
[[nodiscard]] std::optional<DropBehind> find_drop_behind(HostFilters& filters, Address source,
                                                         const FilterQuestion& question);

}  // namespace moat
