// SPDX-License-Identifier: BSD-2-Clause
// One turn from the files on disk to what is enforced, and what is known of it afterwards:
//
//   scan()  settings and rule files, as far as they changed; each change is noticed
//   apply() resolve -> publish -> one line in the log
//
// When to take a turn is the daemon's business.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control/enforce/open_ports.h"
#include "control/enforce/propagation.h"
#include "control/enforce/publisher.h"
#include "control/files/rule_files.h"
#include "control/files/settings.h"
#include "control/os/file_watch.h"
#include "control/os/log.h"
#include "control/resolve/resolution.h"

namespace moat {

// Why a turn is taken, for the log.
struct Cause {
  std::string what;  // "start", "moat rules add", ...; empty: files have changed
  std::string who;   // empty: whoever owns the files that changed
};

struct Applied {
  bool enforced = false;   // what the files say, as far as it can be used, is in force
  bool committed = false;  // and that took a new generation
  bool settings_changed = false;
  std::uint64_t generation = 0;
  std::chrono::steady_clock::time_point enforced_at;
  std::string why_not;
};

class Enforcer {
 public:
  using Steady = std::chrono::steady_clock;

  // All must outlive this.
  Enforcer(Settings& settings, Watch& watch, Publisher& publisher, Log& log);

  // Enforces what scan() has read.
  Applied apply(const Cause& cause);

  // Publishes once more what is enforced; `why` goes to the log. `forced`: though it may be live.
  Applied renew(const std::string& why, bool forced);

  // Reads what has changed on disk, without enforcing it; `noticed`: when that was first heard of.
  // A file that is being written stands as it was, until it is closed or writers_end().
  void scan(std::chrono::system_clock::time_point noticed);

  // Whether scan() has seen anything since what is enforced was read.
  [[nodiscard]] bool is_stale() const { return is_stale_; }

  [[nodiscard]] std::optional<Steady::time_point> writers_end() const;

  [[nodiscard]] const RuleFiles& files() const { return files_; }
  // As of what is enforced; nothing before the first.
  [[nodiscard]] const std::optional<Resolution>& resolution() const { return resolution_; }
  [[nodiscard]] PropagationTracker& propagation() { return propagation_; }
  [[nodiscard]] const PropagationTracker& propagation() const { return propagation_; }
  [[nodiscard]] const Uncovered& uncovered() const { return uncovered_; }
  // Why the last turn failed; empty if it did not.
  [[nodiscard]] const std::string& failure() const { return failure_; }

 private:
  // A file that somebody has open for writing.
  struct Written {
    FileStamp stamp;
    Steady::time_point begun;    // of what is waited for
    Steady::time_point changed;  // for the last time
    bool is_taken = false;       // as it is: it was waited for long enough
    bool is_seen = true;         // by the scan under way
  };
  [[nodiscard]] Steady::time_point end_of(const Written& file) const;

  struct Seen {
    FileStamp stamp;
    std::string owner;
  };
  void note(const std::string& path, const FileStamp& stamp,
            std::chrono::system_clock::time_point noticed);
  [[nodiscard]] bool waits_for_writer(const FileStamp& file, std::optional<bool> has_writer);
  [[nodiscard]] std::set<std::string> being_written() const;
  void note_files(std::chrono::system_clock::time_point noticed);
  [[nodiscard]] std::vector<std::string> paths() const;
  void succeed(Resolution resolution, std::uint64_t generation);
  Applied fail(const Error& error);
  void tell_held_back(const Resolution& resolution);
  void tell_uncovered(const std::vector<UncoveredPort>& ports, const Policy& policy);
  void tell_relaxed(const Policy& before, const Policy& after);
  [[nodiscard]] std::string who(const Cause& cause) const;

  Settings& settings_;
  Watch& watch_;
  Publisher& publisher_;
  Log& log_;
  IsBeingWritten is_being_written_;
  RuleFileReader reader_;
  RuleFiles files_;
  std::map<FileId, Written> written_;
  std::map<std::string, Seen> seen_;            // by path, as of the last scan
  std::map<std::string, std::string> changed_;  // path -> owner, since the last success
  std::optional<Resolution> resolution_;
  PropagationTracker propagation_;
  Uncovered uncovered_;
  Steady::time_point scan_begun_;
  bool is_stale_ = true;
  bool has_scanned_ = false;
  bool settings_changed_ = false;  // and nobody was told yet
  std::string failure_;
  std::set<std::string> told_;  // what is held back, as last logged
};

}  // namespace moat
