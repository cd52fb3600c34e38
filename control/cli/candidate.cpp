// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/candidate.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <memory>
#include <vector>

#include "control/cli/output.h"

namespace moat {
namespace {

namespace fs = std::filesystem;

bool has_ranges_folder(const fs::path& path) {
  std::error_code error;
  const auto folder = fs::is_directory(path, error) ? path : path.parent_path();
  return fs::exists(folder / config_of(folder).managed_ranges, error);
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

}  // namespace moat
