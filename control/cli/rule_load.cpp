// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/rule_load.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string_view>

#include "control/cli/nat_checks.h"
#include "control/enforce/fit.h"
#include "control/files/cidrs_file.h"
#include "control/files/rule_files.h"
#include "control/policy/coverage.h"
#include "control/text/input_limits.h"

namespace moat {
namespace {

namespace fs = std::filesystem;

enum class Kind { config, database, ranges, cidrs };

// Whether a line begins with `key` and a colon.
bool has_top_key(std::string_view bytes, std::string_view key) {
  for (auto at = bytes.find(key); at != std::string_view::npos; at = bytes.find(key, at + 1)) {
    if ((at == 0 || bytes[at - 1] == '\n') && bytes.substr(at + key.size()).starts_with(':')) {
      return true;
    }
  }
  return false;
}

bool begins_with_list(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto end = std::min(bytes.find('\n'), bytes.size());
    const auto line = bytes.substr(0, end);
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
    const auto text = line.find_first_not_of(" \t\r");
    if (text == std::string_view::npos || line[text] == '#' || line.starts_with("---")) continue;
    return line[text] == '-' || line[text] == '[';
  }
  return false;
}

// Whether the first line that says anything is a CIDR, or meant as one.
bool begins_with_cidr(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto line = bytes.substr(0, bytes.find('\n'));
    bytes.remove_prefix(std::min(line.size() + 1, bytes.size()));
    const auto text = line.find_first_not_of(" \t\r");
    if (text == std::string_view::npos || line[text] == '#') continue;
    return line[text] >= '0' && line[text] <= '9' && line.find('.') != std::string_view::npos;
  }
  return false;
}

Kind guess_kind(const fs::path& path, std::string_view bytes) {
  if (path.filename() == "moat.yaml") return Kind::config;
  if (begins_with_list(bytes)) return Kind::ranges;
  if (begins_with_cidr(bytes)) return Kind::cidrs;
  if (has_top_key(bytes, "database") || has_top_key(bytes, "endpoint")) return Kind::database;
  for (const auto* key : {"interfaces", "databases", "managed-ranges", "propagation"}) {
    if (has_top_key(bytes, key)) return Kind::config;
  }
  return Kind::database;
}

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

class Loader {
 public:
  explicit Loader(const LoadOptions& options) : options_(options) {
    if (options.host != nullptr) host_ = *options.host;
  }

  LoadedRules load(const fs::path& path) {
    std::error_code ignored;
    if (fs::is_directory(path, ignored)) {
      load_folder(path);
    } else {
      load_file(path);
    }
    std::ranges::stable_sort(result_.files, {}, &FileStatus::path);
    return std::move(result_);
  }

 private:
  void load_folder(const fs::path& folder) {
    const Config usual;
    if (is_there(folder / "moat.yaml")) {
      load_config(folder / "moat.yaml");
    } else if (is_there(folder / usual.databases) || is_there(folder / usual.managed_ranges)) {
      result_.is_without_config = true;
      load_folders(folder, usual);
    } else if (const auto above = fs::absolute(folder).lexically_normal() / "..";
               names(above, folder)) {
      load_config((above / "moat.yaml").lexically_normal());
    } else {
      add_fault({Severity::error,
                 {folder.string(), 0, 0},
                 "neither moat.yaml nor databases.d is in this folder",
                 "",
                 "name a folder with rule files, or a rule file"});
    }
  }

  // Whether the moat.yaml of one folder names another for rule files.
  static bool names(const fs::path& folder, const fs::path& other) {
    const auto config = read_config_file(folder / "moat.yaml");
    return config.value && (is_same_file(folder / config.value->databases, other) ||
                            is_same_file(folder / config.value->managed_ranges, other));
  }

  void load_file(const fs::path& path) {
    if (path == "-") {
      return add_fault({Severity::error,
                        {"-", 0, 0},
                        "standard input is not read",
                        "",
                        "save the text to a file, and name that"});
    }
    const auto bytes =
        read_regular_file(AT_FDCWD, path.string(), path.string(), limits::file_bytes);
    if (!bytes) return add_fault(bytes.error());
    const auto kind = guess_kind(path, bytes->bytes);
    if (kind == Kind::config) return load_config(path);
    if (kind == Kind::cidrs) return load_cidrs(path, bytes->bytes);
    if (load_among_fellows(path)) return;
    result_.is_alone = true;
    RuleFiles files;
    if (kind == Kind::ranges) {
      files.ranges.push_back({path.string(), read_alone(path, bytes->bytes), {}, {}});
    } else {
      files.databases.push_back(
          {path.string(), read_database(path.string(), bytes->bytes, options_.now), {}, {}});
    }
    use(files, Mode::enforce);
    if (kind == Kind::database) drop_faults_of_strangers(files.databases.front());
  }

  void load_cidrs(const fs::path& path, const std::string& bytes) {
    FaultLog log(path.string());
    const auto cidrs = read_cidrs_file(bytes, limits::prefixes, log);
    const auto state = log.errors() == 0 ? FileState::active : FileState::held_back;
    result_.is_alone = true;
    result_.files.push_back({path.string(), "", state, log.take()});
  }

  static ReadResult<std::vector<ManagedRange>> read_alone(const fs::path& path,
                                                          const std::string& bytes) {
    const auto open = [&](const std::string& name,
                          std::size_t limit) -> std::expected<std::string, std::string> {
      const auto named = path.parent_path() / name;
      auto read = read_regular_file(AT_FDCWD, named.string(), named.string(), limit);
      if (!read) return std::unexpected(std::move(read.error().message));
      return std::move(read->bytes);
    };
    return read_managed_ranges(path.string(), bytes, open);
  }

  // Alone, every managed range that a database names is unknown: keep what the file itself says.
  void drop_faults_of_strangers(const DatabaseFile& file) {
    auto& status = result_.files.front();
    status.faults = file.reading.faults;
    add_host_faults(file, status.faults);
    add_nat_faults({file});
  }

  // True if a moat.yaml above the file's folder names that folder.
  bool load_among_fellows(const fs::path& path) {
    const auto folder = fs::absolute(path).parent_path();
    const auto config_path = folder.parent_path() / "moat.yaml";
    const auto config = read_config_file(config_path);
    if (!config.value) return false;
    const auto base = config_path.parent_path();
    if (!is_same_file(base / config.value->databases, folder) &&
        !is_same_file(base / config.value->managed_ranges, folder)) {
      return false;
    }
    result_.config = config.value;
    load_folders(base, *config.value);
    std::erase_if(result_.files,
                  [&](const FileStatus& status) { return !is_same_file(status.path, path); });
    if (result_.files.size() != 1) {  // a name that is passed over among its fellows
      result_ = {};
      return false;
    }
    rename(result_.files.front(), path.string());
    return true;
  }

  // Says the path as the person wrote it.
  static void rename(FileStatus& status, const std::string& path) {
    for (auto& fault : status.faults) {
      if (fault.place.file == status.path) fault.place.file = path;
    }
    status.path = path;
  }

  static ConfigResult read_config_file(const fs::path& path) {
    const auto bytes =
        read_regular_file(AT_FDCWD, path.string(), path.string(), limits::file_bytes);
    if (bytes) return read_config(path.string(), bytes->bytes);
    ConfigResult reading;
    reading.faults = {bytes.error()};
    return reading;
  }

  void load_config(const fs::path& path) {
    auto reading = read_config_file(path);
    if (host_) {
      add_in_order(check_on_host(reading, *host_), reading.faults);
      if (moat::has_error(reading.faults)) reading.value.reset();
    }
    if (auto warning = warn_of_unsafe_way(path.string())) {
      add_in_order({std::move(*warning)}, reading.faults);
    }
    result_.config = reading.value;
    const auto state = reading.value ? FileState::active : FileState::held_back;
    result_.files.push_back({path.string(), "", state, std::move(reading.faults)});
    // Where moat.yaml cannot be used, the rule files are where they are by default.
    load_folders(path.parent_path(), reading.value.value_or(Config{}));
  }

  void load_folders(const fs::path& base, const Config& config) {
    RuleFileReader reader({}, std::chrono::system_clock::now,
                          RuleFileReader::UnsafeWays::warned_of);
    const RuleFolders folders{(base / config.databases).string(),
                              (base / config.managed_ranges).string()};
    auto files = reader.read(folders, options_.now);
    if (options_.ranges != nullptr) {
      files.ranges_folder.reset();
      files.ranges = {{folders.ranges, {*options_.ranges, {}}, {}, {}}};
    }
    use(files, config.mode);
    if (options_.ranges != nullptr) {  // in the place of a file, which is not there
      std::erase_if(result_.files, [&](const FileStatus& file) {
        return file.path == folders.ranges && file.faults.empty();
      });
    }
  }

  void use(const RuleFiles& files, Mode mode) {
    if (host_) {
      for (const auto& file : files.databases) {
        if (!file.reading.endpoint) continue;
        const auto& ports = file.reading.endpoint->ports;
        host_->guarded.insert(host_->guarded.end(), ports.begin(), ports.end());
      }
    }
    auto resolution = resolve_to_fit({files, mode, nullptr, {}, {options_.now, options_.now}});
    for (const auto& file : files.databases) {
      const auto status = std::ranges::find(resolution.files, file.path, &FileStatus::path);
      if (status != resolution.files.end()) add_host_faults(file, status->faults);
    }
    for (const auto& fault : files.passed_over)
      result_.files.push_back({fault.place.file, "", FileState::active, {fault}});
    for (auto& file : resolution.files) add_coverage(resolution.state.policy, file);
    std::ranges::move(resolution.files, std::back_inserter(result_.files));
    result_.policy = std::move(resolution.state.policy);
    add_nat_faults(files.databases);
  }

  void add_coverage(const Policy& policy, FileStatus& file) const {
    const auto* database = file.id.empty() ? nullptr : policy.find(file.id);
    if (database == nullptr || database->place.file != file.path) return;
    const auto count = wide_coverage(policy, *database, options_.now);
    if (!count) return;
    add_in_order({{Severity::warning, database->place,
                   *count == kClientAddresses ? "the rules let in every address"
                                              : "the rules let in most addresses",
                   fmt::format("{} addresses", *count), "name the networks that need access"}},
                 file.faults);
  }

  void add_host_faults(const DatabaseFile& file, Faults& faults) const {
    if (!host_ || !file.reading.endpoint) return;
    add_in_order(check_on_host(*file.reading.endpoint, file.reading.endpoint_place, *host_,
                               options_.is_forced),
                 faults);
  }

  // NAT leads from one database's ports to another's, so that all are looked at together.
  void add_nat_faults(const std::vector<DatabaseFile>& files) {
    if (!host_ || options_.nat == nullptr) return;
    std::vector<Endpoint> endpoints;
    std::vector<std::string> ids;
    std::vector<Place> places;
    for (const auto& file : files) {
      if (!file.reading.endpoint) continue;
      endpoints.push_back(*file.reading.endpoint);
      ids.push_back(file.reading.id.value_or(""));
      places.push_back(file.reading.endpoint_place);
    }
    const bool has_backstop = !result_.config || result_.config->backstop;
    auto findings = find_ways_round(endpoints, *options_.nat, *host_, has_backstop, ids);
    std::ranges::move(find_taken_ports(endpoints, *options_.nat, *host_),
                      std::back_inserter(findings));
    for (auto& [index, message, remedy, ports] : findings) {
      const auto& place = places[index];
      const auto status = std::ranges::find(result_.files, place.file, &FileStatus::path);
      if (status == result_.files.end()) continue;
      add_in_order({{Severity::warning, place, std::move(message), "", std::move(remedy)}},
                   status->faults);
    }
  }

  static void add_in_order(Faults more, Faults& faults) {
    std::ranges::move(more, std::back_inserter(faults));
    std::ranges::stable_sort(faults, {}, [](const Fault& fault) {
      return std::pair(fault.place.line, fault.place.column);
    });
  }

  void add_fault(const Fault& fault) {
    result_.files.push_back({fault.place.file, "", FileState::held_back, {fault}});
  }

  const LoadOptions& options_;
  std::optional<HostFacts> host_;  // with the ports of all files
  LoadedRules result_;
};

}  // namespace

bool is_same_file(const fs::path& a, const fs::path& b) {
  std::error_code error;
  return fs::equivalent(a, b, error) && !error;
}

Config config_of(const fs::path& folder) {
  const auto path = (folder / "moat.yaml").string();
  const auto bytes = read_regular_file(AT_FDCWD, path, path, limits::file_bytes);
  if (!bytes) return {};
  return read_config(path, bytes->bytes).value.value_or(Config{});
}

bool LoadedRules::has_error() const {
  return std::ranges::any_of(files,
                             [](const FileStatus& file) { return moat::has_error(file.faults); });
}

LoadedRules load_rules(const std::string& path, const LoadOptions& options) {
  return Loader(options).load(path);
}

}  // namespace moat
