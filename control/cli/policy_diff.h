// SPDX-License-Identifier: BSD-2-Clause
// What differs between what is enforced and what rule files say. Both sides are first laid out as
// items with named fields; items are told apart by kind, database and id.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "control/policy/policy.h"
#include "control/service/service.h"

namespace moat {

struct PolicyItem {
  std::string kind;      // "moat.yaml", "database", "rule", "net-peering" or "managed-range"
  std::string database;  // whose; of a database or managed range: empty
  std::string id;        // of moat.yaml: empty
  std::vector<std::pair<std::string, std::string>> fields;  // the same names in each item of a kind
};
using PolicyItems = std::vector<PolicyItem>;

[[nodiscard]] PolicyItem config_item(const Config& config);
[[nodiscard]] PolicyItems policy_items(const Policy& policy);
[[nodiscard]] PolicyItems policy_items(const std::vector<DatabaseView>& databases,
                                       const std::vector<RuleView>& rules,
                                       const std::vector<NetPeeringView>& peerings,
                                       const std::vector<ManagedRangeView>& ranges);

struct PolicyChange {
  enum class What { added, removed, changed } what = What::added;
  PolicyItem item;  // as it is in the files; a removed one, as it is enforced
  struct Field {
    std::string name;
    std::string before;
    std::string after;
  };
  std::vector<Field> fields;  // of a changed one, those that differ
};

// How to get from `before` to `after`: by kind in the order above, then by database and id.
[[nodiscard]] std::vector<PolicyChange> diff_items(const PolicyItems& before,
                                                   const PolicyItems& after);

}  // namespace moat
