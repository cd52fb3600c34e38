// SPDX-License-Identifier: BSD-2-Clause
#include "control/history/trial.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <filesystem>

#include "control/files/agent_files.h"
#include "control/history/json_file.h"
#include "control/os/atomic_file.h"
#include "control/text/input_limits.h"
#include "dataplane/own_folder.h"

namespace moat {

template <>
inline constexpr auto view::members_of<Trial::Former> =
    [](auto& v, auto& member) { member("path", v.path)("text", v.text); };
template <>
inline constexpr auto view::members_of<Trial> = [](auto& v, auto& member) {
  member("id", v.id)("author", v.author)("generation", v.generation)("boot", v.boot)(
      "ends_ns", v.ends)("folder", v.folder)("files", v.files)("databases", v.databases);
};

namespace {

namespace fs = std::filesystem;

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

Result<std::vector<Trial::Former>> read_former(const std::string& settings,
                                               const RuleFiles& files) {
  std::vector<std::string> paths = {settings};
  for (const auto& file : files.databases) paths.push_back(file.path);
  std::vector<Trial::Former> former;
  for (const auto& path : paths) {
    auto bytes = read_linked_file(path, limits::file_bytes);
    if (!bytes) return std::unexpected(Error{format_fault(bytes.error()), "mend it first"});
    if (bytes->has_writer.value_or(false))
      return std::unexpected(Error{fmt::format("somebody is writing {}", path), "try again"});
    if (!is_agents(bytes->bytes)) former.push_back({path, std::move(bytes->bytes)});
  }
  return former;
}

Result<std::optional<Trial>> TrialStore::load() const {
  struct stat status{};
  if (::lstat(path().c_str(), &status) != 0 && (errno == ENOENT || errno == ENOTDIR))
    return std::nullopt;
  if (auto own = check_own_folder(state_); !own) return std::unexpected(own.error());
  if (auto own = check_own(path(), status); !own) return std::unexpected(own.error());
  return read_json_file<Trial>(path());
}

Result<> TrialStore::save(const Trial& trial) const {
  return write_json_file(path(), trial, Durability::now);
}

// On disk, or a power cut would bring it back and undo what was confirmed.
Result<> TrialStore::remove() const {
  if (::unlink(path().c_str()) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return {};
    return failed("remove " + path());
  }
  const Fd folder(::open(state_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder || ::fsync(folder.get()) != 0) return failed("write the folder " + state_);
  return {};
}

// For somebody to look at; that there is no room for it keeps nothing from being undone.
void TrialStore::set_aside(const std::string& path, const std::string& bytes) const {
  if (!make_own_folder(undone(), 0700)) return;
  const auto name =
      fs::path(path).parent_path().filename().string() + "." + fs::path(path).filename().string();
  std::ignore = write_file(undone() + "/" + name, bytes, 0600);
}

// Whether the file said something else. One that was made read-only, or is open for writing, is
// written all the same.
Result<bool> TrialStore::write_back(const Trial::Former& former) const {
  const auto now = read_linked_file(former.path, limits::file_bytes);
  std::error_code error;
  if (!now && fs::exists(fs::symlink_status(former.path, error)))
    return std::unexpected(Error{format_fault(now.error()), ""});
  if (now && now->bytes == former.text) return false;
  if (now) {
    set_aside(former.path, now->bytes);
    if (replace_file(former.path, now->bytes, former.text)) return true;
  }
  if (auto written = write_file(former.path, former.text, 0644); !written)
    return std::unexpected(written.error());
  return true;
}

void TrialStore::take_away_new(const Trial& trial, Restored& restored) {
  std::error_code error;
  for (const auto& file : fs::directory_iterator(trial.folder, error)) {
    const auto& path = file.path();
    const auto name = path.filename().string();
    const bool was_there =
        std::ranges::find(trial.files, path.string(), &Trial::Former::path) != trial.files.end();
    if (was_there || !is_rule_file_name(name)) continue;
    const auto status = file.symlink_status(error);
    if (!fs::is_regular_file(status) && !fs::is_symlink(status)) continue;
    if (const auto now = read_linked_file(path, limits::file_bytes); now && is_agents(now->bytes))
      continue;
    if (::rename(path.c_str(), (path.parent_path() / ("." + name + ".undone")).c_str()) != 0) {
      restored.all = failed("take away " + path.string());
    } else {
      restored.paths.push_back(path);
    }
  }
}

TrialStore::Restored TrialStore::restore(const Trial& trial) const {
  Restored restored;
  for (const auto& former : trial.files) {
    const auto differed = write_back(former);
    if (!differed) restored.all = std::unexpected(differed.error());
    if (differed && *differed) restored.paths.push_back(former.path);
  }
  take_away_new(trial, restored);
  return restored;
}

}  // namespace moat
