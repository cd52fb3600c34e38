// SPDX-License-Identifier: BSD-2-Clause
#include "control/history/trial.h"

#include <fmt/format.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <tuple>

#include "control/history/json_file.h"
#include "control/os/atomic_file.h"
#include "control/text/input_limits.h"
#include "dataplane/own_folder.h"

namespace moat {

template <>
inline constexpr auto view::members_of<Trial::Former> =
    std::tuple("path", &Trial::Former::path, "text", &Trial::Former::text);
template <>
inline constexpr auto view::members_of<Trial> =
    std::tuple("id", &Trial::id, "author", &Trial::author, "generation", &Trial::generation, "boot",
               &Trial::boot, "ends_ns", &Trial::ends, "folder", &Trial::folder, "files",
               &Trial::files, "databases", &Trial::databases);

namespace {

namespace fs = std::filesystem;

constexpr mode_t folder_mode = 0750;
constexpr mode_t file_mode = 0644;

std::unexpected<Error> failure(std::string_view doing, const std::string& path) {
  return std::unexpected(Error{describe_errno(doing, path, errno), ""});
}

}  // namespace

std::chrono::nanoseconds boot_time() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

std::chrono::nanoseconds time_left(const Trial& trial, const std::string& boot) {
  if (trial.boot != boot) return {};
  return std::max(trial.ends - boot_time(), std::chrono::nanoseconds(0));
}

std::vector<Trial::Former> read_former(const std::string& settings, const RuleFiles& files) {
  std::vector<Trial::Former> former;
  const auto add = [&former](const std::string& path) {
    auto bytes = read_whole_file(path);
    former.push_back({path, bytes ? std::move(*bytes) : std::nullopt});
  };
  add(settings);
  for (const auto& file : files.databases) add(file.path);
  return former;
}

Result<std::optional<Trial>> TrialStore::load() const { return read_json_file<Trial>(path()); }

Result<> TrialStore::save(const Trial& trial) const {
  return write_json_file(path(), trial, Durability::now);
}

Result<> TrialStore::remove() const {
  if (::unlink(path().c_str()) != 0 && errno != ENOENT) return failure("remove", path());
  return {};
}

Result<> TrialStore::set_aside(const std::string& path, const std::string& bytes) const {
  if (auto made = make_own_folder(undone(), folder_mode); !made) return made;
  const auto copy = undone() / fs::path(path).filename();
  if (auto written = write_file(copy, bytes); !written) return std::unexpected(written.error());
  return {};
}

// Whether the file said something else.
Result<bool> TrialStore::write_back(const Trial::Former& former) const {
  if (!former.text) return false;
  const auto now = read_regular_file(AT_FDCWD, former.path, former.path, limits::file_bytes);
  std::error_code error;
  if (!now && fs::exists(former.path, error))
    return std::unexpected(Error{format_fault(now.error()), ""});
  if (now && now->bytes == *former.text) return false;
  if (!now) {
    if (auto written = write_file(former.path, *former.text, file_mode); !written)
      return std::unexpected(written.error());
    return true;
  }
  if (auto kept = set_aside(former.path, now->bytes); !kept) return std::unexpected(kept.error());
  if (auto written = replace_file(former.path, now->bytes, *former.text); !written)
    return std::unexpected(written.error());
  return true;
}

Result<std::vector<std::string>> TrialStore::take_away_new(const Trial& trial) const {
  std::vector<std::string> taken;
  std::error_code error;
  for (const auto& file : fs::directory_iterator(trial.folder, error)) {
    const auto& path = file.path();
    const bool was_there =
        std::ranges::find(trial.files, path.string(), &Trial::Former::path) != trial.files.end();
    if (was_there || !is_rule_file_name(path.filename().string())) continue;
    const auto bytes = read_regular_file(AT_FDCWD, path, path, limits::file_bytes);
    if (!bytes) return std::unexpected(Error{format_fault(bytes.error()), ""});
    if (auto kept = set_aside(path, bytes->bytes); !kept) return std::unexpected(kept.error());
    if (::unlink(path.c_str()) != 0) return failure("remove", path);
    taken.push_back(path);
  }
  return taken;
}

Result<std::vector<std::string>> TrialStore::restore(const Trial& trial) const {
  std::vector<std::string> paths;
  for (const auto& former : trial.files) {
    const auto differed = write_back(former);
    if (!differed) return std::unexpected(differed.error());
    if (*differed) paths.push_back(former.path);
  }
  auto taken = take_away_new(trial);
  if (!taken) return taken;
  std::ranges::move(*taken, std::back_inserter(paths));
  return paths;
}

}  // namespace moat
