// SPDX-License-Identifier: BSD-2-Clause
// Databases without a last state whose file is held back: what is guarded for them meanwhile.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "control/resolve/claim.h"

namespace moat {

struct PlaceholderWish : Placeholder {
  bool has_file = false;   // false: no file speaks of it any more
  bool is_placed = false;  // it is guarded by what was last enforced
};

struct PlaceholderWishes {
  std::vector<PlaceholderWish> wishes;
  std::set<std::string> unknown_files;  // nothing is known that could be guarded for them
};

// What a placeholder goes by: the id that a file names or, where it names none, the file's own name
// after a "+", with which no id begins.
[[nodiscard]] std::string placeholder_base(const std::string& id, const std::string& path);

[[nodiscard]] PlaceholderWishes wanted_placeholders(const std::vector<DatabaseClaim>& claims,
                                                    const LastDatabases& last);

struct Placeholders {
  std::vector<Database> databases;
  std::vector<PlaceholderWish> wishes;  // those that are still needed
  std::set<std::string> open_files;     // something they name stays unguarded
};

// Guards of each wish what no database in force guards, as long as there is room for databases.
[[nodiscard]] Placeholders place_placeholders(
    const PlaceholderWishes& wanted, const std::map<std::string_view, const Database*>& in_force);

}  // namespace moat
