// SPDX-License-Identifier: BSD-2-Clause
// The three kinds of file that people write, read strictly: every byte is either understood or
// named as a fault, with its place. All faults of a file at once; a syntax error ends that file.
//
//   moat.yaml ------------> ConfigResult
//   databases.d/*.yaml ---> DatabaseResult       one database a file
//   managed-ranges.d/*.yaml -> ReadResult<vector<ManagedRange>>  (and the cidrs-file each may name)
//
// What needs more than one file (unknown managed range, a port guarded twice) is control/resolve's.
// Nothing here opens a file but through `FileReader`, so that tests can hand over bytes.
#pragma once

#include <chrono>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/policy/policy.h"
#include "control/text/fault.h"
#include "dataplane/backend.h"
#include "dataplane/fast_path_settings.h"

namespace moat {

// moat.yaml, with defaults for what it leaves out. Folders are as written, relative
// to the file's own folder.
struct Config {
  std::vector<std::string> interfaces;
  WantedAttach attach = WantedAttach::automatic;
  Mode mode = Mode::enforce;
  std::string databases = "databases.d";
  std::string managed_ranges = "managed-ranges.d";
  std::vector<std::string> trusted_interfaces = {"lo"};
  bool backstop = true;
  std::string backstop_cgroup;  // folder; empty: the root of cgroup2
  bool drop_sessions = true;
  std::optional<FastPathSettings> fast_path;  // nothing: the host has none
  std::string socket_readers;  // group that may ask at the control socket; empty: none
  std::string metrics;         // "127.0.0.1:9723", where metrics are told as well; empty: nowhere
  unsigned guard = 50;         // of managed ranges, percent; 0: off
  std::chrono::milliseconds hold_down{3'600'000};  // of managed ranges; 0: off
  std::chrono::milliseconds bound{120'000};
  std::chrono::milliseconds reconcile{30'000};
  std::chrono::milliseconds settle{50};
};

template <typename T>
struct ReadResult {
  std::optional<T> value;  // set if and only if no fault is an error
  Faults faults;
};

// moat.yaml also says where it names what a host has or has not, for control/files/host_checks.
struct ConfigResult : ReadResult<Config> {
  struct NamedInterface {
    std::string name;
    Place place;
  };
  std::vector<NamedInterface> interfaces;
  std::vector<NamedInterface> trusted_interfaces;
  Place backstop_cgroup_place;
  struct NamedLcore {
    unsigned cpu;
    Place place;
  };
  std::vector<NamedLcore> lcores;
};

// A database file that has errors may still say which database it is about and what it guards:
// `id` and `endpoint` are set where those parts alone are sound, for whoever holds the file back;
// `named_ranges` are the managed ranges that its rules name, sound or not.
struct DatabaseResult : ReadResult<Database> {
  struct NamedRange {
    std::string id;
    Place place;
  };
  std::optional<std::string> id;
  std::optional<Endpoint> endpoint;
  Place endpoint_place;  // of the `endpoint:` value, where there is one
  std::vector<NamedRange> named_ranges;
};

// Gives the bytes of a file that a rule file names (relative to that rule file's folder), or says
// why not. Files over `limit` bytes are refused.
using FileReader = std::function<std::expected<std::string, std::string>(const std::string& path,
                                                                         std::size_t limit)>;

[[nodiscard]] ConfigResult read_config(const std::string& file, std::string_view bytes);

// `now` serves the warning for rules that have expired already.
[[nodiscard]] DatabaseResult read_database(const std::string& file, std::string_view bytes,
                                           WallTime now);

[[nodiscard]] ReadResult<std::vector<ManagedRange>> read_managed_ranges(const std::string& file,
                                                                        std::string_view bytes,
                                                                        const FileReader& open);

// A duration as people write it: 50ms, 30s, 2m, 1h. At least 1 ms, at most 24 h.
[[nodiscard]] std::expected<std::chrono::milliseconds, Error> parse_duration(std::string_view text);

}  // namespace moat
