// SPDX-License-Identifier: BSD-2-Clause
// What shall be enforced, and what is in force: plain data. resolve.h makes the one from the other.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/policy/policy.h"
#include "control/text/fault.h"

namespace moat {

// An endpoint that must not be open until its file can be used.
struct Placeholder {
  std::string base;  // id of the database, or "+NAME" of a file that does not tell
  std::string file;  // that says so, or last did
  Endpoint endpoint;
  std::optional<Mode> mode;

  friend bool operator==(const Placeholder&, const Placeholder&) = default;
};

// Ids for which a file was held back because another one had them, by its path. It does not win by
// the other's vanishing.
using Rivals = std::map<std::string, std::set<std::string>>;

// How a managed range has changed, as far as its versions were enforced.
struct RangeHistory {
  WallTime changed{};          // when this version was first enforced; 0: not known
  std::uint64_t added = 0;     // prefixes, by this version
  std::uint64_t removed = 0;   // of these, those that no other prefix covers are held down...
  std::uint64_t not_held = 0;  // ...but for so many that there was no room for
  std::uint64_t returned = 0;  // prefixes that came back while they were held down, in all...
  WallTime since{};            // ...since then

  friend bool operator==(const RangeHistory&, const RangeHistory&) = default;
};

// What is in force, as far as the next resolution needs it.
struct EnforcedState {
  // Its placeholder databases stand for `placeholders`: each guards what is left of one without the
  // rest of the policy. One id may need several ("ID+2", ...); no id that a person can write has a
  // '+'.
  Policy policy;
  std::vector<Placeholder> placeholders;
  // Which database each file last spoke of, by path: the guess for a file that does not tell.
  std::map<std::string, std::string> database_of_file;
  Rivals rivals;
  std::map<std::string, RangeHistory> range_histories = {};  // by id
};

// A version of a managed range that is held back as it changes too much at once.
struct HeldVersion {
  std::string digest;
  std::size_t prefixes = 0;
  std::string change;  // "would lose 812 of its 1,024 addresses, more than guard: 50%"
};
using HeldVersions = std::map<std::string, HeldVersion>;  // by id

enum class FileState {
  active,      // what it says is what is enforced
  held_back,   // it cannot be used; what it speaks of stays as last enforced, or is closed to all
  vanished,    // no file speaks of `id` any more (or, without id, of its ranges); all stays
  not_guarded  // nothing could be guarded for it: no last state, no readable endpoint
};

inline constexpr auto file_state_words = std::to_array<std::pair<FileState, std::string_view>>(
    {{FileState::active, "active"},
     {FileState::held_back, "held-back"},
     {FileState::vanished, "vanished"},
     {FileState::not_guarded, "not-guarded"}});

struct FileStatus {
  std::string path;  // for `vanished`: where it last was; of a folder that cannot be read: itself
  std::string id;    // database id; empty for managed ranges or an unknown database
  FileState state = FileState::active;
  Faults faults;  // errors and warnings, cross-file ones included
};

struct Resolution {
  EnforcedState state;            // to be enforced
  std::vector<FileStatus> files;  // by path
  // Managed ranges kept although no file names them any more, because rules do.
  std::set<std::string> withdrawn;
  HeldVersions held_versions;
  std::map<std::string, std::size_t> not_held;  // prefixes of a range, for want of room
  // True when a database file exists for which nothing is guarded: moatd is not ready.
  bool not_guarded = false;
};

[[nodiscard]] std::string_view word(FileState state);

}  // namespace moat
