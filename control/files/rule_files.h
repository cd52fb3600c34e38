// SPDX-License-Identifier: BSD-2-Clause
// Finds the rule files on disk and has them read.
//
//   databases.d/*.yaml, *.yml ------> read_database --------+
//                                                           +--> RuleFiles
//   managed-ranges.d/*.yaml, *.yml -> read_managed_ranges --+
//                  and the cidrs-files that these name
//
// Passed over: names that begin with a dot (editors' locks and swap files, Moat's temporary files)
// and all that does not end in .yaml or .yml. Of these `passed_over` tells, where somebody may
// expect them to be read; not of editors' backups (x.yaml~, #x.yaml#) or of cidrs-files. Symlinks
// are followed, of files and of the folders; one listing sees one folder, even if its link is
// swapped meanwhile. A cidrs-file must lie in the folder, whatever the links: its faults show lines
// of it, and whoever writes rule files need not be one who may read all files. So a link of a user
// that leads to a file of another is not followed, either. Refused by name: what is no regular file
// (never opened: a FIFO would block, a device would act), what cannot be read, what is too large,
// files and folders that others may write, and those that others could replace, as a folder on the
// way to them is theirs.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "control/files/reading.h"
#include "control/os/file_stamp.h"
#include "control/policy/policy.h"
#include "control/text/fault.h"

namespace moat {

// Whether more is to come of a file. It may be that nobody has one open that has become shorter in
// place a moment ago: whoever writes it anew in several steps opens it for each.
enum class BeingWritten : std::uint8_t { no, open, shrunk };

// One rule file as found: its bytes' reading. `unreadable` says why there were no bytes to read
// (permissions, a FIFO, too large, writable by others, ...); then the readings are empty.
struct DatabaseFile {
  std::string path;
  DatabaseResult reading;
  std::optional<Fault> unreadable;
  FileStamp stamp;
  BeingWritten being_written = BeingWritten::no;  // if it is, all this is what it said before
  std::shared_ptr<const std::string> bytes = {};  // that were read; none where there were none

  [[nodiscard]] bool is_being_written() const { return being_written != BeingWritten::no; }
};

struct RangeFile {
  std::string path;
  ReadResult<std::vector<ManagedRange>> reading;
  std::optional<Fault> unreadable;
  FileStamp stamp;                 // `changed` is the latest of the file's and its cidrs-files'
  std::vector<std::string> lists;  // paths of the cidrs-files that it names
  bool is_being_written = false;   // it, or one of those
};

struct RuleFolders {
  std::string databases;
  std::string ranges;
};

struct RuleFiles {
  std::vector<DatabaseFile> databases;  // by path
  std::vector<RangeFile> ranges;        // by path
  // Why a whole folder could not be listed, or was refused; then its vector is empty. A folder
  // that cannot be seen is not an empty one: nothing in it counts as vanished.
  std::optional<Fault> databases_folder;
  std::optional<Fault> ranges_folder;
  Faults passed_over;  // warnings, of a folder each: with the names that are not read, or unsafe
  RuleFolders folders = {};  // where they are; empty: not known
};

// Whether the file at `path` lay in another folder than `folder`, where its kind is read now.
[[nodiscard]] bool is_elsewhere(const std::string& path, const std::string& folder);

// "orders.yaml": a name that is read.
[[nodiscard]] bool is_rule_file_name(std::string_view name);

// The bytes of one file, read while it did not change.
struct FileBytes {
  std::string bytes;
  FileStamp stamp;
  std::optional<bool> has_writer;  // once it was read; see has_writer()
};

// Reads `path`, relative to the folder open as `folder_fd` (AT_FDCWD: to the process's). The error
// says why not, with `shown` as the place.
[[nodiscard]] std::expected<FileBytes, Fault> read_regular_file(int folder_fd,
                                                                const std::string& path,
                                                                const std::string& shown,
                                                                std::size_t limit);

// The same of a file that people leave to somebody, through symlinks. Refused where one that a user
// has made leads to a file of another.
[[nodiscard]] std::expected<FileBytes, Fault> read_linked_file(const std::string& path,
                                                               std::size_t limit);

// Why a stranger could put something else in the place of what has that path, if one could; see
// check_way_to().
[[nodiscard]] std::optional<Fault> find_unsafe_way(const std::string& path);

// The same as a warning, for who reads files that are not enforced where they are.
[[nodiscard]] std::optional<Fault> warn_of_unsafe_way(const std::string& path);

// Whether more is to come of a file of which this was just read; `has_writer`: what the kernel
// tells; `before`: what was read at that path before it, empty for nothing.
using IsBeingWritten = std::function<BeingWritten(
    const FileStamp& stamp, std::optional<bool> has_writer, const FileStamp& before)>;

// What a file that is being written has to say for itself.
[[nodiscard]] Fault in_pieces(const std::string& path, BeingWritten how, Severity severity);

// Keeps what it has read: a file with the same stamp is not read again, so that a change of one
// rule does not wait for a million lines beside it. A stamp tells versions apart only as finely as
// the kernel's clock ticks, and who writes through a shared mapping may move no stamp at all; so a
// file that was read within a moment of its last change, or while somebody had it open for writing,
// is not settled, and is read once more.
//
// A file that is being written stands as it was read before: half a file can be a file that holds,
// and cut off whoever stands in the other half.
class RuleFileReader {
 public:
  using Clock = std::function<std::chrono::system_clock::time_point()>;

  // What becomes of files that a stranger could replace; who reads them for himself is warned.
  enum class UnsafeWays { refused, warned_of };

  // `is_being_written` may be none. `clock` is the one that files are stamped by.
  explicit RuleFileReader(IsBeingWritten is_being_written = {},
                          Clock clock = std::chrono::system_clock::now,
                          UnsafeWays unsafe_ways = UnsafeWays::refused);

  // The next read() takes this file anew (all files), whatever its stamp says.
  void unsettle(const FileId& file);
  void unsettle_all();

  // `now` serves the warning for rules that have expired.
  [[nodiscard]] RuleFiles read(const RuleFolders& folders, WallTime now);

  // How many files (cidrs-files too) the last read() took anew.
  [[nodiscard]] std::size_t files_read() const { return files_read_; }

 private:
  struct KnownDatabase {
    FileStamp stamp;
    bool is_settled = false;
    WallTime read_at;
    DatabaseResult reading;
    std::shared_ptr<const std::string> bytes;
  };
  struct KnownRanges {
    FileStamp stamp;
    bool is_settled = false;
    std::vector<std::pair<std::string, FileStamp>> lists;  // cidrs-files, relative to the folder
    ReadResult<std::vector<ManagedRange>> reading;
    std::string being_written;  // the path of the file or list that is, if one is
    BeingWritten how = BeingWritten::no;
  };

  [[nodiscard]] std::optional<Fault> check_folder(const std::string& path, Faults& warnings) const;
  [[nodiscard]] std::expected<FileBytes, Fault> read_file(int folder_fd, const std::string& name,
                                                          const std::string& path) const;
  [[nodiscard]] std::expected<FileBytes, Fault> read_list(int folder_fd, const std::string& list,
                                                          std::size_t limit) const;
  static DatabaseFile new_in_pieces(const std::string& path, const FileBytes& file,
                                    BeingWritten how, WallTime now);
  DatabaseFile read_database_file(int folder_fd, const std::string& name, const std::string& path,
                                  WallTime now);
  RangeFile read_range_file(int folder_fd, const std::string& name, const std::string& path);

  [[nodiscard]] FileReader list_reader(int folder_fd, const std::string& path,
                                       KnownRanges& ranges) const;

  static bool is_unchanged(int folder_fd, const std::string& name, const KnownRanges& known);
  static RangeFile range_file(const std::string& path, const KnownRanges& known);
  static RangeFile ranges_in_pieces(const std::string& path, const KnownRanges* before,
                                    const KnownRanges& now);
  [[nodiscard]] bool is_settled(const FileBytes& file) const;
  [[nodiscard]] FileStamp stamp_of_list(const std::string& path, const std::string& list) const;
  [[nodiscard]] BeingWritten is_being_written(const std::expected<FileBytes, Fault>& file,
                                              const FileStamp& before) const;

  IsBeingWritten is_being_written_;
  Clock clock_;
  UnsafeWays unsafe_ways_;
  std::chrono::system_clock::time_point begun_;     // the last read()
  std::map<std::string, KnownDatabase> databases_;  // by path
  std::map<std::string, KnownRanges> ranges_;       // by path
  std::size_t files_read_ = 0;
};

}  // namespace moat
