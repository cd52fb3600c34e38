// SPDX-License-Identifier: BSD-2-Clause
// Edits of rule files that people ask the daemon for: planned on the bytes on disk, held against
// all that a file written by hand is held against, and only then written.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control/files/rule_files.h"
#include "control/resolve/hold_down.h"
#include "control/resolve/resolution.h"
#include "control/service/service.h"

namespace moat {

// What an edit is judged by: the files as they are now, and what is enforced.
struct EditBasis {
  const RuleFiles& files;
  Mode mode = Mode::enforce;  // of the host
  const EnforcedState* enforced = nullptr;
  const std::set<std::string>& forgotten;
  WallTime now;          // by which rules have expired: see expiry_clock.h
  WallTime wall;         // that it shows
  WallTime known = now;  // see ResolveTime
  RangeUpdates updates = {};
};

struct Edit {
  // Taken away is renamed to .NAME.gone beside it.
  enum class What { replace, make, take_away, bring_back } what = What::replace;
  std::string path;
  std::string before;  // bytes
  std::string after;
  std::string rule_id;    // added, changed or removed
  std::string unchanged;  // a sentence, where the file says all of it already
  Faults warnings;
};

[[nodiscard]] ServiceResult<Edit> plan_add_rule(const EditBasis& basis, const NewRule& rule);
[[nodiscard]] ServiceResult<Edit> plan_set_rule(const EditBasis& basis, const RuleName& rule,
                                                const RuleChange& change);
[[nodiscard]] ServiceResult<Edit> plan_remove_rule(const EditBasis& basis, const RuleName& rule);
[[nodiscard]] ServiceResult<Edit> plan_add_peering(const EditBasis& basis,
                                                   const NewNetPeering& peering);
[[nodiscard]] ServiceResult<Edit> plan_remove_peering(const EditBasis& basis,
                                                      const NetPeeringName& peering);
[[nodiscard]] ServiceResult<Edit> plan_set_mode(const EditBasis& basis, const std::string& database,
                                                Mode mode);

// What database files are to say, by path. `is_all`: what is not named goes.
struct WantedFiles {
  std::map<std::string, std::string> texts;
  bool is_all = false;
};

// Of several files at once; refused as a whole. Those that say the same already need no edit.
struct FileEdits {
  std::vector<Edit> edits;
  Faults warnings;
};
[[nodiscard]] ServiceResult<FileEdits> plan_files(const EditBasis& basis,
                                                  const WantedFiles& wanted);

// The files as they would be after the edits; that of `settings`, moat.yaml, is none of them.
[[nodiscard]] RuleFiles with_edits(const RuleFiles& files, const std::vector<Edit>& edits,
                                   const std::string& settings, WallTime now);

// moat.yaml; nothing: it says so already. Its folders are to stay those of `now`.
[[nodiscard]] ServiceResult<std::optional<Edit>> plan_settings(const std::string& path,
                                                               const std::string& wanted,
                                                               const Config& now);

// Refused if the file no longer says what the plan was made for. Writes nothing where the bytes are
// the same.
[[nodiscard]] ServiceResult<void> write_edit(const Edit& edit);

// All of them, or none: where one is refused, those before it are taken back.
[[nodiscard]] ServiceResult<void> write_edits(const std::vector<Edit>& edits);

// Removes what edits left unfinished, as moatd was killed: in the folders of database files, and in
// those that symlinks among them lead to.
void remove_edit_leftovers(const RuleFiles& files);

// Refused while a file names the database, or may.
[[nodiscard]] ServiceResult<void> check_forget(const EditBasis& basis, const std::string& database);

}  // namespace moat
