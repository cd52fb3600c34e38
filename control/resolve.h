// SPDX-License-Identifier: BSD-2-Clause
// From what the files say and what was last enforced to what shall be enforced next. Pure, so that
// every case of a bad, vanished, renamed, conflicting or first-start file is a row in a test.
//
//   files on disk --read--> Reading of each --+
//                                             +--> Resolution { policy, sealed, files, ... }
//   what was last enforced -------------------+
//
// What it keeps to:
//   - A file that cannot be used holds back only itself: what it speaks of stays as last enforced.
//   - Identity is the id. A path serves as a guess only: for a file too broken to tell its id, and
//     to say which of several files with one id is the enforced one.
//   - In a conflict the enforced one keeps what it has. Between newcomers both are held back.
//   - A database without a last state is SEALED while its file is held back: its endpoint is
//     guarded and nobody allowed. A seal is a stopgap, not an enforced state: it wins no conflict,
//     and follows what its file says as long as the endpoint can be read.
//   - Absent is not empty: a file that vanishes changes nothing.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "control/fault.h"
#include "control/file_stamp.h"
#include "control/policy.h"
#include "control/policy_yaml.h"

namespace moat {

// One rule file as found: its bytes' reading. `unreadable` says why there were no bytes to read
// (permissions, a FIFO, too large, writable by others, ...); then the readings are empty.
struct DatabaseFile {
  std::string path;
  DatabaseReading reading;
  std::optional<Fault> unreadable;
  FileStamp stamp;
  bool is_being_written = false;  // then all this is what it said before
};

struct RangeFile {
  std::string path;
  Reading<std::vector<ManagedRange>> reading;
  std::optional<Fault> unreadable;
  FileStamp stamp;                 // `changed` is the latest of the file's and its cidrs-files'
  std::vector<std::string> lists;  // paths of the cidrs-files that it names
  bool is_being_written = false;   // it, or one of those
};

struct RuleFiles {
  std::vector<DatabaseFile> databases;  // by path
  std::vector<RangeFile> ranges;        // by path
  // Why a whole folder could not be listed, or was refused; then its vector is empty. A folder
  // that cannot be seen is not an empty one: nothing in it counts as vanished.
  std::optional<Fault> databases_folder;
  std::optional<Fault> ranges_folder;
};

// An endpoint that must not be open until its file can be used.
struct Seal {
  std::string base;  // id of the database, or "+NAME" of a file that does not tell
  std::string file;  // that says so, or last did
  Endpoint endpoint;
  std::optional<Mode> mode;

  friend bool operator==(const Seal&, const Seal&) = default;
};

// What is in force, as far as the next resolution needs it.
struct Enforced {
  Policy policy;
  // Ids of the databases in `policy` that are guarded with nobody allowed because nothing better
  // was known: those that stand for `seals`. Each guards what is left of its seal without the rest
  // of the policy. One id may need several ("ID+2", ...); no id that a person can write has a '+'.
  std::set<std::string> sealed;
  std::vector<Seal> seals;
  // Which database each file last spoke of, by path: the guess for a file that does not tell.
  std::map<std::string, std::string> database_of_file;
};

enum class FileState {
  active,      // what it says is what is enforced
  held_back,   // it cannot be used; what it speaks of stays as last enforced, or is sealed
  vanished,    // no file speaks of `id` any more (or, without id, of its ranges); all stays
  not_guarded  // nothing could be guarded for it: no last state, no readable endpoint
};

struct FileStatus {
  std::string path;  // for `vanished`: where it last was; of a folder that cannot be read: itself
  std::string id;    // database id; empty for managed ranges or an unknown database
  FileState state = FileState::active;
  Faults faults;  // errors and warnings, cross-file ones included
};

struct Resolution : Enforced {    // to be enforced
  std::vector<FileStatus> files;  // by path
  // Managed ranges kept although no file names them any more, because rules do.
  std::set<std::string> withdrawn;
  // True when a database file exists for which nothing is guarded: moatd is not ready.
  bool not_guarded = false;
};

// `last`: what was enforced last, or null at a first start. `forgotten`: ids whose guard the
// operator ended; they are not carried over (a file that names one guards it again).
[[nodiscard]] Resolution resolve(const RuleFiles& files, Mode host_mode, const Enforced* last,
                                 const std::set<std::string>& forgotten = {});

}  // namespace moat
