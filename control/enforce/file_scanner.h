// SPDX-License-Identifier: BSD-2-Clause
// Reads settings and rule files as far as they have changed on disk, and remembers what it has read
// and what of that is not enforced yet. A file that is being written stands as it was, until it is
// closed or was waited for long enough. So does one that has shrunk in place, until it has been at
// rest for a moment: a shell's > cuts a file off before it is written, and >> adds to it piece by
// piece.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control/enforce/propagation.h"
#include "control/files/rule_files.h"
#include "control/files/settings.h"
#include "control/os/file_watch.h"

namespace moat {

class FileScanner {
 public:
  using Steady = std::chrono::steady_clock;
  using WallClock = std::chrono::system_clock;

  // Both must outlive this.
  FileScanner(Settings& settings, Watch& watch);
  FileScanner(const FileScanner&) = delete;
  FileScanner& operator=(const FileScanner&) = delete;
  ~FileScanner() = default;

  // `noticed`: when the change was first heard of; `now`: by when rules have expired;
  // `is_asked_for`: somebody says that the files are whole.
  void scan(WallClock::time_point noticed, WallTime now, bool is_asked_for = false);

  // When the first file that is waited for is taken as it is.
  [[nodiscard]] std::optional<Steady::time_point> writers_end() const;

  [[nodiscard]] const RuleFiles& files() const { return files_; }
  [[nodiscard]] Steady::time_point scan_begun() const { return scan_begun_; }

  // Whether a scan has seen anything since what is enforced was read.
  [[nodiscard]] bool is_stale() const { return is_stale_; }
  void set_stale() { is_stale_ = true; }
  // The files that have changed since then, and who owns them.
  [[nodiscard]] const std::map<std::string, std::string>& changed() const { return changed_; }
  // Whether the settings have changed since this was last asked.
  [[nodiscard]] bool take_settings_changed();

  // All that was read is in force, but for files of these paths, which are held back.
  void set_enforced(std::uint64_t generation, const std::vector<std::string>& held_back);

  // The changes that are not enforced: noticed ones, and files that are being written, whose old
  // version stands.
  [[nodiscard]] std::vector<Propagation> pending() const;

  [[nodiscard]] PropagationTracker& propagation() { return propagation_; }
  [[nodiscard]] const PropagationTracker& propagation() const { return propagation_; }

 private:
  // A file that somebody has open for writing, or has begun to write anew: it has shrunk in place.
  struct Written {
    FileStamp stamp;
    Steady::time_point begun;    // of what is waited for
    Steady::time_point changed;  // for the last time
    bool is_open = true;
    bool has_shrunk = false;
    bool is_taken = false;  // as it is: it was waited for long enough
    bool is_seen = true;    // by the scan under way
  };
  struct Seen {
    FileStamp stamp;
    std::string owner;
  };

  [[nodiscard]] Steady::time_point end_of(const Written& file) const;
  [[nodiscard]] BeingWritten waits_for_writer(const FileStamp& file, std::optional<bool> has_writer,
                                              const FileStamp& before);
  [[nodiscard]] bool has_shrunk(const FileStamp& file, const FileStamp& before) const;
  [[nodiscard]] std::set<std::string> being_written() const;
  [[nodiscard]] std::vector<std::string> folder_faults() const;
  [[nodiscard]] std::vector<std::string> paths() const;
  void unsettle();
  void note_files(WallClock::time_point noticed);
  void note_written(WallClock::time_point noticed);
  void note(const std::string& path, const FileStamp& stamp, WallClock::time_point noticed);

  Settings& settings_;
  Watch& watch_;
  IsBeingWritten is_being_written_;
  RuleFileReader reader_;
  RuleFiles files_;
  std::map<FileId, Written> written_;
  std::map<std::string, WallClock::time_point> in_pieces_;  // since when each path is being written
  std::map<std::string, Seen> seen_;                        // by path, as of the last scan
  std::map<std::string, std::string> changed_;              // path -> owner, since the last success
  PropagationTracker propagation_;
  Steady::time_point scan_begun_;
  bool is_stale_ = true;
  bool has_scanned_ = false;
  bool is_asked_for_ = false;      // the scan under way
  bool settings_changed_ = false;  // and nobody was told yet
};

}  // namespace moat
