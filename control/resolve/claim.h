// SPDX-License-Identifier: BSD-2-Clause
// What one file says of a database, against what was enforced last: the data that claims.h and
// placeholders.h work on.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "control/files/rule_files.h"
#include "control/resolve/resolution.h"

namespace moat {

// What was enforced last, without what the operator ended.
struct LastDatabases {
  std::map<std::string, const Database*, std::less<>> enforced;  // by id
  std::vector<const Seal*> seals;
  std::map<std::string, std::string> of_file;  // path -> the id that the file last told

  [[nodiscard]] bool holds(std::string_view id) const;

  LastDatabases(const Enforced* last, const std::set<std::string>& forgotten);
};

struct DatabaseClaim {
  const DatabaseFile* file = nullptr;
  std::string id;  // as read or, failing that, by the path; empty if unknown
  bool is_held = false;
  Faults faults;

  // What the file says, if it counts.
  [[nodiscard]] const Database* fresh() const { return is_held ? nullptr : &*file->reading.value; }
  [[nodiscard]] std::optional<Endpoint> endpoint() const;
  void hold(Fault fault);
};

}  // namespace moat
