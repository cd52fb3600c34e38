// SPDX-License-Identifier: BSD-2-Clause
// A fleet's databases and managed ranges as rule files of this host: those that it selects, each
// checked on its own, so that one with errors holds back itself alone.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "control/agent/agent_file.h"
#include "control/agent/fleet_keys.h"
#include "control/files/rule_files.h"

namespace moat {

// Of one version of a fleet, by id; a tombstone is a value like any other.
struct FleetContent {
  std::map<std::string, std::string> databases;  // text of the file
  std::map<std::string, std::string> labels;     // of a database, one a line
  std::map<std::string, std::string> ranges;     // CIDRs, one a line
};

// Makes `content` what it was before a push that has changed these keys.
void put_back(const FleetValues& before, FleetContent& content);

struct FleetResult {
  bool is_changed = false;
  unsigned databases = 0;              // that this host has
  std::vector<std::string> held_back;  // a sentence each
};

// Ids of the databases that a host with these settings has: those it names, and those with one of
// its labels; all where it names neither.
[[nodiscard]] std::vector<std::string> selected_databases(const FleetContent& content,
                                                          const FleetSettings& settings);

[[nodiscard]] FleetResult write_fleet(const FleetContent& content, const FleetSettings& settings,
                                      const RuleFolders& folders);

// The same for all that there is in `content`, and for nothing else.
[[nodiscard]] FleetResult write_all(const FleetContent& content, const RuleFolders& folders);

// Of `content`, what is this host's: of these databases, and of managed ranges that it has.
[[nodiscard]] FleetContent own_part(FleetContent content, const std::vector<std::string>& databases,
                                    const RuleFolders& folders);

// So many of `sentences` as a person reads; the last then says how many more there are.
[[nodiscard]] std::vector<std::string> first_of(std::vector<std::string> sentences);

// What is wrong with a database file of that id, or with a list of CIDRs, as moatd would see it.
[[nodiscard]] Result<> check_fleet_database(const std::string& id, const std::string& text);
[[nodiscard]] Result<> check_fleet_range(const std::string& id, const std::string& text);

}  // namespace moat
