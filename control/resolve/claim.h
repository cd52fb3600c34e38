// SPDX-License-Identifier: BSD-2-Clause
// What one file says, against what was enforced last: the data that claims.h, ranges.h and
// placeholders.h work on.
#pragma once

#include <algorithm>
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
  std::vector<const Placeholder*> placeholders;
  std::map<std::string, std::string> of_file;  // path -> the id that the file last told
  Rivals rivals;
  std::map<std::string, std::size_t, std::less<>>
      placed;  // databases in force for one, by its base

  [[nodiscard]] bool holds(std::string_view id) const;

  LastDatabases(const EnforcedState* last, const std::set<std::string>& forgotten);
};

// What a file wants, and whether it counts.
struct Claim {
  bool is_held = false;
  Faults faults;

  void hold(Fault fault);
};

template <typename File>
struct FileClaim : Claim {
  const File* file;

  explicit FileClaim(const File& of) : Claim{!of.reading.value, of.reading.faults}, file(&of) {
    if (of.unreadable) hold(*of.unreadable);
  }
};

using RangeClaim = FileClaim<RangeFile>;

struct DatabaseClaim : FileClaim<DatabaseFile> {
  std::string id;  // as read or, failing that, by the path; empty if unknown

  explicit DatabaseClaim(const DatabaseFile& of)
      : FileClaim(of), id(of.reading.value ? of.reading.value->id : of.reading.id.value_or("")) {}

  // What the file says, if it counts.
  [[nodiscard]] const Database* fresh() const { return is_held ? nullptr : &*file->reading.value; }
  [[nodiscard]] std::optional<Endpoint> endpoint() const;
};

template <typename Claims>
[[nodiscard]] auto* find_file(Claims& claims, std::string_view path) {
  const auto found = std::ranges::find(
      claims, path, [](const auto& claim) -> std::string_view { return claim.file->path; });
  return found == claims.end() ? nullptr : &*found;
}

// That a file names an id.
struct IdClaim {
  Claim* claim = nullptr;
  Place place;
  std::string enforced_from;  // the file from which the id was last enforced; empty: never

  [[nodiscard]] bool is_enforced() const { return enforced_from == place.file; }
};
using IdClaims = std::map<std::string_view, std::vector<IdClaim>>;  // by id

template <typename Claims>
[[nodiscard]] std::set<std::string> paths_of(const Claims& claims) {
  std::set<std::string> paths;
  for (const auto& claim : claims) paths.insert(claim.file->path);
  return paths;
}

// Of several files that name one id, only the one counts from which it was last enforced; where it
// is none of them, none does. Nor does one that was held back beside that file, once it is alone:
// `before`. `what` they name: "database"; `paths`: of all files that could. Gives those that are
// held back now.
[[nodiscard]] Rivals hold_same_ids(std::string_view what, const IdClaims& claims,
                                   const Rivals& before, const std::set<std::string>& paths);

}  // namespace moat
