// SPDX-License-Identifier: BSD-2-Clause
// The rule files under a path that a person names, read for the command's own use: what a daemon
// starting with them would enforce, and all that is wrong with them.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "control/cli/nat_rules.h"
#include "control/files/host_checks.h"
#include "control/files/reading.h"
#include "control/policy/policy.h"
#include "control/resolve/resolution.h"

namespace moat {

// Whether both paths lead to the same file.
[[nodiscard]] bool is_same_file(const std::filesystem::path& a, const std::filesystem::path& b);

struct LoadedRules {
  std::vector<FileStatus> files;  // by path; moat.yaml is among them
  std::optional<Config> config;   // nothing: no moat.yaml, or one with errors
  Policy policy;
  bool is_alone = false;  // a single rule file: nothing that it names elsewhere was looked at
  bool is_without_config = false;  // a folder of rule files without moat.yaml

  [[nodiscard]] bool has_error() const;
};

struct LoadOptions {
  WallTime now;
  const HostFacts* host = nullptr;  // for check_on_host(); null: without
  bool is_forced = false;
  const std::vector<NatRule>* nat = nullptr;  // for nat_checks, with `host`; null: without
  // In the place of those in the folder; null: these are read.
  const std::vector<ManagedRange>* ranges = nullptr;
};

inline constexpr std::string_view without_config =
    "note: there is no moat.yaml in this folder, so the rule files alone were read";

// What the moat.yaml of a folder says; the defaults where it says nothing, or nothing that holds.
[[nodiscard]] Config config_of(const std::filesystem::path& folder);

// `path` is a moat.yaml, a folder with one (or with databases.d or managed-ranges.d), or a single
// rule file. A rule file in a folder that the moat.yaml above it names is read among its fellows,
// but only its own faults are told. Faults name files as they are reached from `path`.
[[nodiscard]] LoadedRules load_rules(const std::string& path, const LoadOptions& options);

}  // namespace moat
