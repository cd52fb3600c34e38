// SPDX-License-Identifier: BSD-2-Clause
// A change that is undone unless somebody confirms it in time: moat.yaml and the database files as
// they were before it, on disk until then, so that neither the daemon's death nor a reboot makes it
// stay.
//
//   STATE/trial.json   while one is under way
//   STATE/undone/      what the latest undoing has overwritten; for root alone
//
// A rule file that was not there is renamed to .NAME.undone beside it, which nobody reads. Files of
// moat-agent's are left alone: what comes from the fleet meanwhile is nobody's change on the host.
//
// The same file makes a change of several files whole: it is there while they are written, and who
// finds it at a start brings back what was.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/files/rule_files.h"
#include "dataplane/error.h"

namespace moat {

struct Trial {
  // As a file was.
  struct Former {
    std::string path;
    std::string text;
  };

  std::string id;                      // whose edits belong to it; empty: everybody's
  std::string author;                  // see HistoryEntry
  std::uint64_t generation = 0;        // that was enforced before it
  std::string boot;                    // which boot `ends` is of
  std::chrono::nanoseconds ends{};     // on CLOCK_BOOTTIME; zero: only while files are written
  std::string folder;                  // of the database files
  std::vector<Former> files;           // moat.yaml, and those in the folder that people write
  std::vector<std::string> databases;  // ids of those that were guarded

  [[nodiscard]] bool is_writing() const { return ends == std::chrono::nanoseconds(0); }
};

// CLOCK_BOOTTIME, which goes on while the host sleeps.
[[nodiscard]] std::chrono::nanoseconds boot_time();

// Zero where it has lapsed, or is of another boot.
[[nodiscard]] std::chrono::nanoseconds time_left(const Trial& trial, const std::string& boot);

// The files as they are now, for Trial::files; without moat-agent's. Error: one cannot be read, or
// somebody is writing it, so that it could not be brought back.
[[nodiscard]] Result<std::vector<Trial::Former>> read_former(const std::string& settings,
                                                             const RuleFiles& files);

// In moatd's state folder, as long as a trial is under way.
inline constexpr std::string_view trial_file = "trial.json";

class TrialStore {
 public:
  // `state`: moatd's state folder.
  explicit TrialStore(std::string state) : state_(std::move(state)) {}

  // Error: also where others than root could have written it.
  [[nodiscard]] Result<std::optional<Trial>> load() const;
  [[nodiscard]] Result<> save(const Trial& trial) const;
  // On disk on return; no error if there is none.
  [[nodiscard]] Result<> remove() const;

  // Writes back each file that says something else by now, and takes away those of the folder that
  // were not there. The paths of all of them. Does what can be done of it: an error names what was
  // not, and it may be called again.
  struct Restored {
    std::vector<std::string> paths;
    Result<> all;
  };
  [[nodiscard]] Restored restore(const Trial& trial) const;

 private:
  [[nodiscard]] std::string path() const { return state_ + "/" + std::string(trial_file); }
  [[nodiscard]] std::string undone() const { return state_ + "/undone"; }
  [[nodiscard]] Result<bool> write_back(const Trial::Former& former) const;
  static void take_away_new(const Trial& trial, Restored& restored);
  void set_aside(const std::string& path, const std::string& bytes) const;

  std::string state_;
};

}  // namespace moat
