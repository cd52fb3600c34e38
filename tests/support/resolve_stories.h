// SPDX-License-Identifier: BSD-2-Clause
// Rule files as texts, and what resolve() makes of them as lines: for tests that tell a story.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control/policy/endpoint.h"
#include "control/resolve/resolve.h"

namespace moat {

using Texts = std::map<std::string, std::string>;  // path -> what the file says

// The files of one time. In a text, UNREADABLE stands for a file that cannot be read.
struct Files {
  Texts databases;
  Texts ranges;
  std::set<std::string> forgotten = {};
};

inline Fault unreadable(const std::string& path) {
  return {Severity::error, {path, 0, 0}, "writable by others", path, "chmod o-w"};
}

inline RuleFiles read(const Files& files) {
  RuleFiles result;
  for (const auto& [path, text] : files.databases) {
    if (text == "UNREADABLE") {
      result.databases.push_back({path, {}, unreadable(path), {}});
    } else {
      result.databases.push_back({path, read_database(path, text, WallTime{}), std::nullopt, {}});
    }
  }
  const auto no_files = [](const auto&, auto) { return std::unexpected(std::string("none")); };
  for (const auto& [path, text] : files.ranges) {
    if (text == "UNREADABLE") {
      result.ranges.push_back({path, {}, unreadable(path), {}});
    } else {
      result.ranges.push_back({path, read_managed_ranges(path, text, no_files), std::nullopt, {}});
    }
  }
  return result;
}

inline Resolution run(const std::vector<Files>& steps) {
  Resolution resolution;
  const EnforcedState* last = nullptr;
  EnforcedState kept;
  for (const auto& step : steps) {
    resolution = resolve(read(step), Mode::enforce, last, step.forgotten);
    kept = resolution.state;
    last = &kept;
  }
  return resolution;
}

// "orders port 5432: 192.0.2.1/32, mr-a", a placeholder with "placeholder" after the colon.
inline std::vector<std::string> policy_lines(const Resolution& resolution) {
  std::vector<std::string> lines;
  for (const auto& database : resolution.state.policy.databases) {
    std::vector<std::string> sources;
    for (const auto& rule : database.rules) sources.push_back(rule.source());
    if (database.is_placeholder) sources.push_back("placeholder");
    lines.push_back(fmt::format("{} {}: {}{}", database.id, format_endpoint(database.endpoint),
                                fmt::join(sources, ", "),
                                database.mode == Mode::monitor ? " (monitor)" : ""));
  }
  return lines;
}

// "mr-a: 192.0.2.0/24", with "(withdrawn)" where it is.
inline std::vector<std::string> range_lines(const Resolution& resolution) {
  std::vector<std::string> lines;
  for (const auto& [id, range] : resolution.state.policy.ranges) {
    std::vector<std::string> cidrs;
    for (const auto prefix : *range.cidrs) cidrs.push_back(format_prefix(prefix));
    lines.push_back(fmt::format("{}: {}{}", id, fmt::join(cidrs, ", "),
                                resolution.withdrawn.contains(id) ? " (withdrawn)" : ""));
  }
  return lines;
}

inline std::string_view word_for(FileState state) {
  switch (state) {
    case FileState::active:
      return "active";
    case FileState::held_back:
      return "held-back";
    case FileState::vanished:
      return "vanished";
    case FileState::not_guarded:
      return "not-guarded";
  }
  return "?";
}

// "a.yaml orders active"
inline std::vector<std::string> status_lines(const Resolution& resolution) {
  std::vector<std::string> lines;
  for (const auto& file : resolution.files) {
    lines.push_back(fmt::format("{} {} {}", file.path, file.id, word_for(file.state)));
  }
  return lines;
}

inline std::string fault_text(const Resolution& resolution) {
  std::string text;
  for (const auto& file : resolution.files) {
    for (const auto& fault : file.faults) text += format_fault(fault) + "\n";
  }
  return text;
}

inline std::string database(const std::string& id, const std::string& endpoint,
                            const std::string& rules = "[{cidr: 192.0.2.1/32}]") {
  return fmt::format("database: {}\nendpoint: {{{}}}\nrules: {}\n", id, endpoint, rules);
}

inline std::string range(const std::string& id, const std::string& cidrs = "192.0.2.0/24") {
  return fmt::format("- {{id: {}, cidrs: [{}]}}\n", id, cidrs);
}

}  // namespace moat
