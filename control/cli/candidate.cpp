// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/candidate.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <vector>

#include "control/cli/output.h"
#include "control/files/agent_files.h"

namespace moat {
namespace {

namespace fs = std::filesystem;

bool has_ranges_folder(const fs::path& path) {
  std::error_code error;
  const auto folder = fs::is_directory(path, error) ? path : path.parent_path();
  return fs::exists(folder / config_of(folder).managed_ranges, error);
}

// As far as this user can tell.
bool has_agents_file(const DatabaseView& database) {
  std::string line;
  std::ifstream file(database.path);
  return std::getline(file, line) && is_agents(line);
}

}  // namespace

ClientResult<std::vector<ManagedRange>> read_hosts_ranges(const Client& client) {
  const auto views = as_list<ManagedRangeView>(client.get("/v1/managed-ranges"), "managed_ranges");
  if (!views) return std::unexpected(views.error());
  std::vector<ManagedRange> ranges;
  for (const auto& view : *views) {
    const auto whole = as<ManagedRangeView>(client.get("/v1/managed-ranges/" + escape(view.id)));
    if (!whole) return std::unexpected(whole.error());
    auto cidrs = std::make_shared<Prefixes>();
    for (const auto& text : whole->cidrs)
      if (const auto cidr = parse_prefix(text)) cidrs->push_back(*cidr);
    ranges.push_back({view.id, view.name, std::move(cidrs), {view.path, 0, 0}});
  }
  return ranges;
}

ClientResult<LoadedRules> load_candidate(const Client& client, const std::string& folder,
                                         WhoseRanges whose) {
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  LoadOptions options{now, nullptr, false};
  std::vector<ManagedRange> of_host;
  if (whose == WhoseRanges::hosts || !has_ranges_folder(folder)) {
    auto ranges = read_hosts_ranges(client);
    if (!ranges) return std::unexpected(ranges.error());
    of_host = std::move(*ranges);
    options.ranges = &of_host;
  }
  auto rules = load_rules(folder, options);
  if (rules.has_error()) {
    CommandError failure{Exit::refused,
                         {Refusal::Kind::invalid,
                          "the files have errors, and would not be enforced",
                          "mend them first: see moat check",
                          {}}};
    for (auto& file : rules.files) {
      if (has_error(file.faults)) {
        std::ranges::move(file.faults, std::back_inserter(failure.refusal.faults));
      }
    }
    return std::unexpected(std::move(failure));
  }
  if (rules.is_without_config) tell(without_config, Colour::doubtful);
  return rules;
}

std::vector<DatabaseView> find_unnamed(const std::vector<DatabaseView>& databases,
                                       const Policy& wanted) {
  std::vector<DatabaseView> unnamed;
  std::ranges::copy_if(databases, std::back_inserter(unnamed), [&](const DatabaseView& database) {
    return wanted.find(database.id) == nullptr && !has_agents_file(database);
  });
  return unnamed;
}

std::string describe_unnamed(const DatabaseView& database, std::string_view folder) {
  const auto rules = database.rules == 0   ? std::string("without a rule")
                     : database.rules == 1 ? std::string("with its last rule")
                                           : fmt::format("with its last {} rules", database.rules);
  return fmt::format(
      "database {} has no file in {}: it stays guarded {} until moat databases forget {}",
      database.id, folder, rules, database.id);
}

}  // namespace moat
