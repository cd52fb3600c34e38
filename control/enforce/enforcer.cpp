// SPDX-License-Identifier: BSD-2-Clause
#include "control/enforce/enforcer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "control/enforce/describe_change.h"
#include "control/files/host_checks.h"
#include "control/os/user_name.h"
#include "control/resolve/resolve.h"

namespace moat {
namespace {

using WallClock = std::chrono::system_clock;

// A file that is being written is waited for until it has not changed for this long, or for a part
// of the bound; and for as many times that in all.
constexpr std::chrono::milliseconds longest_pause = std::chrono::seconds(30);
constexpr int pauses_in_bound = 4;
constexpr int most_pauses = 2;
// Links inside what is read can lead to links: as many rounds until all of them are watched.
constexpr int most_rounds = 4;

WallClock::time_point from_ns(std::int64_t ns) {
  return WallClock::time_point(
      std::chrono::duration_cast<WallClock::duration>(std::chrono::nanoseconds(ns)));
}

std::string owner_of(const std::string& path) {
  struct stat status{};
  return stat(path.c_str(), &status) == 0 ? user_name(status.st_uid) : std::string();
}

double milliseconds(Enforcer::Steady::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

}  // namespace

Enforcer::Enforcer(Settings& settings, Watch& watch, Publisher& publisher, Log& log)
    : settings_(settings),
      watch_(watch),
      publisher_(publisher),
      log_(log),
      is_being_written_(
          [this](const auto& file, auto has_writer) { return waits_for_writer(file, has_writer); }),
      reader_(is_being_written_) {}

// Some writers never close, and some never end.
Enforcer::Steady::time_point Enforcer::end_of(const Written& file) const {
  const auto pause = std::min(settings_.config().bound / pauses_in_bound, longest_pause);
  return std::min(file.changed + pause, file.begun + most_pauses * pause);
}

bool Enforcer::waits_for_writer(const FileStamp& file, std::optional<bool> has_writer) {
  const auto now = Steady::now();
  if (!(has_writer ? *has_writer : watch_.is_being_written(file.id))) {
    written_.erase(file.id);
    return false;
  }
  auto& written = written_.try_emplace(file.id, Written{file, now, now}).first->second;
  written.is_seen = true;
  if (written.stamp != file) {
    if (std::exchange(written.is_taken, false)) written.begun = now;
    written.stamp = file;
    written.changed = now;
  }
  written.is_taken = written.is_taken || now >= end_of(written);
  return !written.is_taken;
}

std::optional<Enforcer::Steady::time_point> Enforcer::writers_end() const {
  std::optional<Steady::time_point> first;
  for (const auto& [id, file] : written_) {
    if (!file.is_taken) first = std::min(first.value_or(end_of(file)), end_of(file));
  }
  return first;
}

std::set<std::string> Enforcer::being_written() const {
  std::set<std::string> paths;
  if (settings_.is_being_written()) paths.insert(settings_.path());
  for (const auto& file : files_.databases) {
    if (file.is_being_written) paths.insert(file.path);
  }
  for (const auto& file : files_.ranges) {
    if (file.is_being_written) paths.insert(file.path);
  }
  return paths;
}

std::vector<std::string> Enforcer::paths() const {
  const auto folders = settings_.folders();
  std::vector<std::string> all = {settings_.path(), folders.databases, folders.ranges};
  for (const auto& file : files_.databases) all.push_back(file.path);
  for (const auto& file : files_.ranges) {
    all.push_back(file.path);
    all.insert(all.end(), file.lists.begin(), file.lists.end());
  }
  return all;
}

void Enforcer::scan(WallClock::time_point noticed) {
  // Watched before it is read: what changes in between is heard of.
  scan_begun_ = Steady::now();
  const auto written_before = being_written();
  for (auto& [id, file] : written_) file.is_seen = false;
  watch_.follow(paths());
  for (int round = 0; round < most_rounds; round++) {
    if (settings_.read(is_being_written_)) settings_changed_ = is_stale_ = true;
    files_ = reader_.read(settings_.folders(), publisher_.expiry_time());
    is_stale_ |= reader_.files_read() > 0;
    if (!watch_.follow(paths())) break;
  }
  std::erase_if(written_, [](const auto& entry) { return !entry.second.is_seen; });
  is_stale_ |= being_written() != written_before;  // so that the status tells
  note_files(noticed);
  propagation_.set_bound(settings_.config().bound);
  has_scanned_ = true;
}

void Enforcer::note_files(WallClock::time_point noticed) {
  std::set<std::string> present = {settings_.path()};
  note(settings_.path(), settings_.stamp(), noticed);
  for (const auto& file : files_.databases) {
    present.insert(file.path);
    note(file.path, file.stamp, noticed);
  }
  for (const auto& file : files_.ranges) {
    present.insert(file.path);
    note(file.path, file.stamp, noticed);
  }
  std::erase_if(seen_, [&](const auto& seen) {
    if (present.contains(seen.first)) return false;
    propagation_.drop(seen.first);
    changed_[seen.first] = seen.second.owner;
    is_stale_ = true;
    return true;
  });
}

// What was there before the daemon was is no change that it could have been late for.
void Enforcer::note(const std::string& path, const FileStamp& stamp,
                    WallClock::time_point noticed) {
  auto& seen = seen_[path];
  if (seen.stamp == stamp) return;
  seen = {stamp, owner_of(path)};
  is_stale_ = true;
  if (!has_scanned_) return;
  changed_[path] = seen.owner;
  propagation_.notice(path, from_ns(stamp.changed), noticed);
}

Applied Enforcer::apply(const Cause& cause) {
  auto resolution =
      resolve(files_, settings_.config().mode, publisher_.enforced(), publisher_.state().forgotten);
  tell_held_back(resolution);
  std::optional<Policy> before;
  if (publisher_.enforced() != nullptr) before = publisher_.enforced()->policy;
  const auto outcome =
      publisher_.publish(resolution, settings_.has_fallen_back() ? settings_.path() : "");
  if (!outcome) return fail(outcome.error());
  if (before) {
    tell_uncovered(uncovered_.replace(*before, resolution.policy), resolution.policy);
    tell_relaxed(*before, resolution.policy);
  }

  if (outcome->committed) {
    const auto change = describe_change(before.value_or(Policy{}), resolution.policy);
    log_.info("generation {} enforced in {:.1f} ms{}{}{}", outcome->generation,
              milliseconds(outcome->enforced_at - scan_begun_), change.empty() ? "" : ": ", change,
              who(cause));
  }
  succeed(std::move(resolution), outcome->generation);
  return {true,
          outcome->committed,
          std::exchange(settings_changed_, false),
          outcome->generation,
          outcome->enforced_at,
          ""};
}

void Enforcer::succeed(Resolution resolution, std::uint64_t generation) {
  for (const auto& file : resolution.files) {
    if (file.state != FileState::active) propagation_.drop(file.path);
  }
  if (settings_.is_held_back()) propagation_.drop(settings_.path());
  propagation_.enforced(generation, WallClock::now());
  resolution_ = std::move(resolution);
  changed_.clear();
  is_stale_ = false;
  if (!failure_.empty()) log_.info("enforced again after: {}", failure_);
  failure_.clear();
}

Applied Enforcer::fail(const Error& error) {
  auto why = format_error(error);
  if (why != failure_) {
    log_.error("not enforced, generation {} stays: {}", publisher_.generation(), why);
  }
  is_stale_ = true;
  failure_ = why;
  return {false, false, std::exchange(settings_changed_, false), publisher_.generation(), {}, why};
}

Applied Enforcer::renew(const std::string& why, bool forced) {
  const auto begun = Steady::now();
  const auto outcome = publisher_.renew(forced);
  if (!outcome) return fail(outcome.error());
  if (outcome->committed) {
    log_.info("generation {} enforced in {:.1f} ms: {}", outcome->generation,
              milliseconds(Steady::now() - begun), why);
  }
  return {true, outcome->committed, false, outcome->generation, outcome->enforced_at, ""};
}

// " (moat rules add, by root)"
std::string Enforcer::who(const Cause& cause) const {
  std::set<std::string> owners;
  for (const auto& [path, owner] : changed_) owners.insert(owner);
  std::vector<std::string> parts;
  if (!cause.what.empty()) {
    parts.push_back(cause.what);
  } else if (!changed_.empty()) {
    std::vector<std::string> names;
    for (const auto& [path, owner] : changed_) {
      names.push_back(std::filesystem::path(path).filename());
    }
    parts.push_back(fmt::format("{}", fmt::join(names, ", ")));
  }
  if (!cause.who.empty()) {
    parts.push_back("by " + cause.who);
  } else if (cause.what.empty() && !owners.empty()) {
    parts.push_back(fmt::format("of {}", fmt::join(owners, ", ")));
  }
  return parts.empty() ? "" : fmt::format(" ({})", fmt::join(parts, ", "));
}

// Once for each fault, not at each turn.
void Enforcer::tell_held_back(const Resolution& resolution) {
  std::set<std::string> now;
  const auto tell = [&](const Fault& fault) {
    auto text = format_fault(fault);
    if (fault.severity == Severity::error && !told_.contains(text)) log_.error("{}", text);
    now.insert(std::move(text));
  };
  for (const auto& fault : settings_.faults()) tell(fault);
  for (const auto& file : resolution.files) {
    if (file.state == FileState::active) continue;
    for (const auto& fault : file.faults) tell(fault);
    auto state = fmt::format("{}: {}", file.path, word(file.state));
    if (!told_.contains(state)) log_.warn("{}", state);
    now.insert(std::move(state));
  }
  told_ = std::move(now);
}

void Enforcer::tell_relaxed(const Policy& before, const Policy& after) {
  for (const auto& database : after.databases) {
    const auto* old = before.find(database.id);
    if (old == nullptr || before.mode_of(*old) == Mode::monitor) continue;
    if (after.mode_of(database) == Mode::enforce) continue;
    log_.warn("database {} is in monitor mode from now on: what would be dropped passes",
              database.id);
  }
}

void Enforcer::tell_uncovered(const std::vector<UncoveredPort>& ports, const Policy& policy) {
  if (ports.empty()) return;
  const auto open = listeners();
  if (!open) return;
  for (const auto& sentence : uncovered_.sentences(policy, *open, host_addresses()))
    log_.warn("{}", sentence);
}

}  // namespace moat
