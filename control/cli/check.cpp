// SPDX-License-Identifier: BSD-2-Clause
// moat check: what is wrong with rule files, without a daemon.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "control/cli/candidate.h"
#include "control/cli/output.h"
#include "control/cli/rule_load.h"
#include "control/files/kernel_checks.h"
#include "control/policy/hygiene.h"

namespace moat {
namespace {

namespace fs = std::filesystem;

struct CheckOptions {
  std::string path{paths::config};
  bool force = false;
};

struct Tally {
  std::size_t errors = 0;
  std::size_t warnings = 0;

  explicit Tally(const LoadedRules& rules) {
    for (const auto& file : rules.files) {
      for (const auto& fault : file.faults) {
        (fault.severity == Severity::error ? errors : warnings) += fault.count;
      }
    }
  }
};

using KernelLimits = std::vector<KernelLimit>;

Json as_json(const KernelLimits& kernel) {
  Json limits = Json::array();
  for (const auto& [is_fatal, message, remedy] : kernel)
    limits.push_back({{"fatal", is_fatal}, {"message", message}, {"remedy", remedy}});
  return limits;
}

Json as_json(const LoadedRules& rules, const Tally& tally, const NatResult& nat,
             const KernelLimits& kernel) {
  Json files = Json::array();
  for (const auto& file : rules.files) {
    Json faults = Json::array();
    for (const auto& fault : file.faults) faults.push_back(encode(fault));
    files.push_back({{"path", file.path}, {"database", file.id}, {"faults", std::move(faults)}});
  }
  auto unread = nat.unread;
  if (rules.is_without_config) unread.emplace_back(without_config);
  return document({{"errors", tally.errors},
                   {"warnings", tally.warnings},
                   {"files", std::move(files)},
                   {"kernel", as_json(kernel)},
                   {"unread", std::move(unread)}});
}

// Whether something of the policy is in a file that was checked: a single one is read among its
// fellows.
bool is_checked(const LoadedRules& rules, const Place& place) {
  if (rules.files.size() == 1) return is_same_file(rules.files.front().path, place.file);
  return std::ranges::find(rules.files, place.file, &FileStatus::path) != rules.files.end();
}

// What was looked at, for somebody who wonders whether it was all.
std::string summary(const LoadedRules& rules) {
  std::size_t databases = 0, count = 0, ranges = 0;
  for (const auto& database : rules.policy.databases) {
    if (!is_checked(rules, database.place)) continue;
    ++databases;
    count += database.rules.size();
  }
  for (const auto& [id, range] : rules.policy.ranges) ranges += is_checked(rules, range.place);
  return fmt::format("{}: {}, {}, {}", plural(rules.files.size(), "file"),
                     plural(databases, "database"), plural(count, "rule"),
                     plural(ranges, "managed range"));
}

// A folder of rule files that has none for managed ranges, and is not the host's own: moat apply
// leaves the host's managed ranges as they are, so that its rules may name those.
bool may_name_the_hosts(const fs::path& path, const StatusView& host) {
  std::error_code error;
  const auto folder = fs::is_directory(path, error) ? path : path.parent_path();
  if (folder == path.parent_path() && path.filename() != "moat.yaml") return false;
  const auto config = config_of(folder);
  const auto databases = folder / config.databases;
  return fs::exists(databases, error) && !fs::exists(folder / config.managed_ranges, error) &&
         std::ranges::none_of(host.files, [&](const FileStatus& file) {
           return is_same_file(fs::path(file.path).parent_path(), databases);
         });
}

// Nothing: they are not needed, or moatd is not there to tell them.
std::optional<std::vector<ManagedRange>> hosts_ranges_for(const Cli& cli, const std::string& path) {
  if (path == paths::config || ::access(cli.socket.c_str(), F_OK) != 0) return std::nullopt;
  Client client(cli);
  const auto status = client.status();
  if (!status || !may_name_the_hosts(path, *status)) return std::nullopt;
  auto ranges = read_hosts_ranges(client);
  if (!ranges) return std::nullopt;
  return std::move(*ranges);
}

// Of this host; no fault of its files.
void print(const KernelLimits& kernel) {
  for (const auto& [is_fatal, message, remedy] : kernel)
    tell(fmt::format("note: {}; {}", message, remedy), is_fatal ? Colour::bad : Colour::doubtful);
}

void print(const LoadedRules& rules, const Tally& tally) {
  for (const auto& file : rules.files) print_faults(file.faults, stdout);
  if (rules.is_alone) {
    tell("note: no moat.yaml names this file's folder, so other files were not looked at");
  }
  if (rules.is_without_config) tell(without_config);
  if (tally.errors != 0) {
    tell(fmt::format("{}, {}", plural(tally.errors, "error"), plural(tally.warnings, "warning")),
         Colour::bad);
  } else if (rules.is_alone) {
    tell(fmt::format("no error, {}", plural(tally.warnings, "warning")), Colour::good);
  } else {
    tell(fmt::format("no error, {}, in {}", plural(tally.warnings, "warning"), summary(rules)),
         Colour::good);
  }
}

// What moatd holds back of these very files though nothing is wrong with them here: they are not
// read by the same user, or differ from what is in force.
void add_held_back(const Cli& cli, LoadedRules& rules) {
  if (::access(cli.socket.c_str(), F_OK) != 0) return;
  const auto status = Client(cli).status();
  if (!status) return;  // it is checked without a daemon as well
  for (auto& file : rules.files) {
    if (has_error(file.faults)) continue;
    const auto held = std::ranges::find_if(status->files, [&](const FileStatus& other) {
      return other.state != FileState::active && is_same_file(other.path, file.path);
    });
    if (held == status->files.end()) continue;
    for (auto fault : held->faults) {
      if (fault.severity != Severity::error) continue;
      fault.message = "moatd holds it back: " + fault.message;
      file.faults.push_back(std::move(fault));
    }
  }
}

// "; no hit in 40 d": what is known of it since it is counted, if that is long enough to say
// anything.
std::string describe_hits(const RuleView& rule, WallTime now) {
  if (rule.last_hit) return fmt::format("; last hit {}", ago(rule.last_hit));
  if (!rule.counted_since || now - *rule.counted_since < std::chrono::minutes(1)) return "";
  return fmt::format("; no hit in {}", format_age(*rule.counted_since));
}

// What nothing is wrong with and is worth a look all the same. Of rules in force moatd tells for
// how long they have had no hit.
void add_hints(const Cli& cli, WallTime now, LoadedRules& rules) {
  auto hints = find_hints(rules.policy, now);
  if (hints.empty()) return;
  std::vector<RuleView> counted;
  if (::access(cli.socket.c_str(), F_OK) == 0) {
    counted = as_list<RuleView>(Client(cli).get("/v1/rules"), "rules").value_or(counted);
  }
  for (auto& [database, id, fault] : hints) {
    const auto file = std::ranges::find(rules.files, fault.place.file, &FileStatus::path);
    if (file == rules.files.end()) continue;
    const auto rule = std::ranges::find_if(counted, [&](const RuleView& view) {
      return view.database == database && view.id == id && view.source == fault.value &&
             is_same_file(view.place.file, fault.place.file);
    });
    if (rule != counted.end()) fault.message += describe_hits(*rule, now);
    file->faults.push_back(std::move(fault));
    std::ranges::stable_sort(file->faults, {}, [](const Fault& each) {
      return std::pair(each.place.line, each.place.column);
    });
  }
}

Exit check_files(const Cli& cli, const CheckOptions& options) {
  const auto host = read_host_facts();
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  const auto nat = read_nat_rules();
  const auto ranges = hosts_ranges_for(cli, options.path);
  auto rules = load_rules(options.path,
                          {now, &host, options.force, &nat.rules, ranges ? &*ranges : nullptr});
  if (ranges && !cli.json)
    tell(
        "note: this folder has no managed ranges: its rules are checked with the host's, as by "
        "moat apply");
  add_held_back(cli, rules);
  if (!rules.has_error()) add_hints(cli, now, rules);
  const Tally tally(rules);
  // What is looked at elsewhere may be another host's.
  const bool is_this_host = options.path == paths::config;
  const auto kernel = is_this_host ? find_kernel_limits(read_kernel_facts()) : KernelLimits{};
  if (cli.json) {
    print_json(as_json(rules, tally, nat, kernel));
  } else {
    print(kernel);
    for (const auto& sentence : nat.unread) tell(fmt::format("note: {}", printable(sentence)));
    print(rules, tally);
  }
  return tally.errors == 0 ? Exit::done : Exit::refused;
}

}  // namespace

Action command::check(Options& options) {
  const auto values = std::make_shared<CheckOptions>();
  options = {{"PATH", "", &values->path, "A moat.yaml, the folder of one, or a single rule file"},
             {"--force", "", &values->force,
              "Take `ports: all` on the host's only address for a warning"}};
  return make_action(values, check_files);
}

}  // namespace moat
