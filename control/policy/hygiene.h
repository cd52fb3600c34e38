// SPDX-License-Identifier: BSD-2-Clause
// Rules that hold and yet are worth a look: that let in nobody whom another one does not, or very
// many.
#pragma once

#include <string>
#include <vector>

#include "control/policy/policy.h"

namespace moat {

struct RuleHint {
  std::string database;
  std::string rule;  // id
  Fault fault;       // a warning, at the rule's place
};

// Of rules that have not expired at `now`:
//   a CIDR or net peering within another rule's CIDR, managed range or net peering, where that rule
//   lasts as long; of a CIDR and a net peering that are the same network, the CIDR;
//   a CIDR or net peering shorter than /16, with the number of addresses that it lets in.
//   0.0.0.0/0 has a warning of its own where it is read.
// In the order of `policy`. Linear in the prefixes, times the rules of a database.
[[nodiscard]] std::vector<RuleHint> find_hints(const Policy& policy, WallTime now);

}  // namespace moat
