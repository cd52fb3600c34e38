// SPDX-License-Identifier: BSD-2-Clause
#include "control/enforce/file_scanner.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "control/os/local_names.h"

namespace moat {
namespace {

using WallClock = FileScanner::WallClock;

// A file that is being written is waited for until it has not changed for this long, or for a part
// of the bound; and for as many times that in all.
constexpr std::chrono::milliseconds longest_pause = std::chrono::seconds(30);
constexpr int pauses_in_bound = 4;
constexpr int max_pauses = 2;
// A file that has shrunk in place is waited for until it has not changed for this long.
constexpr std::chrono::milliseconds rest_after_shrinking = std::chrono::seconds(1);
// Links inside what is read can lead to links: as many rounds until all of them are watched.
constexpr int max_rounds = 4;

std::string owner_of(const std::string& path) {
  struct stat status{};
  return stat(path.c_str(), &status) == 0 ? user_name(status.st_uid) : std::string();
}

}  // namespace

FileScanner::FileScanner(Settings& settings, Watch& watch)
    : settings_(settings),
      watch_(watch),
      is_being_written_([this](const auto& file, auto has_writer, const auto& before) {
        return waits_for_writer(file, has_writer, before);
      }),
      reader_(is_being_written_) {}

// Some writers never close, and some never end.
FileScanner::Steady::time_point FileScanner::end_of(const Written& file) const {
  auto pause = std::min(settings_.config().bound / pauses_in_bound, longest_pause);
  if (!file.is_open) pause = std::min(pause, rest_after_shrinking);
  return std::min(file.changed + pause, file.begun + max_pauses * pause);
}

// In place: a file that is renamed over another is another file.
bool FileScanner::has_shrunk(const FileStamp& file, const FileStamp& before) const {
  if (is_asked_for_) return false;
  const auto known = written_.find(file.id);
  if (known != written_.end() && known->second.has_shrunk) return true;
  return file.id == before.id && file.size < before.size;
}

BeingWritten FileScanner::waits_for_writer(const FileStamp& file, std::optional<bool> has_writer,
                                           const FileStamp& before) {
  const auto now = Steady::now();
  const bool is_open = has_writer ? *has_writer : watch_.is_being_written(file.id);
  const bool shrunk = has_shrunk(file, before);
  if (!is_open && !shrunk) {
    written_.erase(file.id);
    return BeingWritten::no;
  }
  auto& written = written_.try_emplace(file.id, Written{file, now, now}).first->second;
  written.is_seen = true;
  written.is_open = is_open;
  written.has_shrunk = shrunk;
  if (written.stamp != file) {
    if (std::exchange(written.is_taken, false)) written.begun = now;
    written.stamp = file;
    written.changed = now;
  }
  written.is_taken = written.is_taken || now >= end_of(written);
  if (!written.is_taken) return is_open ? BeingWritten::open : BeingWritten::shrunk;
  if (!is_open) written_.erase(file.id);
  return BeingWritten::no;
}

std::optional<FileScanner::Steady::time_point> FileScanner::writers_end() const {
  std::optional<Steady::time_point> first;
  for (const auto& [id, file] : written_) {
    if (!file.is_taken) first = std::min(first.value_or(end_of(file)), end_of(file));
  }
  return first;
}

std::set<std::string> FileScanner::being_written() const {
  std::set<std::string> paths;
  if (settings_.is_being_written()) paths.insert(settings_.path());
  for (const auto& file : files_.databases) {
    if (file.is_being_written()) paths.insert(file.path);
  }
  for (const auto& file : files_.ranges) {
    if (file.is_being_written) paths.insert(file.path);
  }
  return paths;
}

std::vector<std::string> FileScanner::paths() const {
  const auto folders = settings_.folders();
  std::vector<std::string> all = {settings_.path(), folders.databases, folders.ranges};
  for (const auto& file : files_.databases) all.push_back(file.path);
  for (const auto& file : files_.ranges) {
    all.push_back(file.path);
    all.insert(all.end(), file.lists.begin(), file.lists.end());
  }
  return all;
}

// Of whole folders, as text.
std::vector<std::string> FileScanner::folder_faults() const {
  std::vector<std::string> faults;
  for (const auto& fault : {files_.databases_folder, files_.ranges_folder}) {
    faults.push_back(fault ? format_fault(*fault) : "");
  }
  for (const auto& fault : files_.passed_over) faults.push_back(format_fault(fault));
  return faults;
}

void FileScanner::scan(WallClock::time_point noticed, WallTime now, bool is_asked_for) {
  // Watched before it is read: what changes in between is heard of.
  scan_begun_ = Steady::now();
  is_asked_for_ = is_asked_for;
  const auto written_before = being_written();
  const auto faults_before = folder_faults();
  for (auto& [id, file] : written_) file.is_seen = false;
  watch_.follow(paths());
  unsettle();
  for (int round = 0; round < max_rounds; round++) {
    if (settings_.read(is_being_written_)) settings_changed_ = is_stale_ = true;
    files_ = reader_.read(settings_.folders(), now);
    is_stale_ |= reader_.files_read() > 0;
    if (!watch_.follow(paths())) break;
  }
  std::erase_if(written_, [](const auto& entry) { return !entry.second.is_seen; });
  // So that the status tells.
  is_stale_ |= being_written() != written_before || folder_faults() != faults_before;
  note_files(noticed);
  note_written(noticed);
  propagation_.set_bound(settings_.config().bound);
  has_scanned_ = true;
}

// Bytes can change while no stamp does; who says that the files are whole wants them all read.
void FileScanner::unsettle() {
  const auto closed = watch_.take_closed();
  if (is_asked_for_ || !closed) return reader_.unsettle_all();
  for (const auto& file : *closed) reader_.unsettle(file);
}

void FileScanner::note_files(WallClock::time_point noticed) {
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
void FileScanner::note(const std::string& path, const FileStamp& stamp,
                       WallClock::time_point noticed) {
  auto& seen = seen_[path];
  if (seen.stamp == stamp) return;
  seen = {stamp, owner_of(path)};
  is_stale_ = true;
  if (!has_scanned_) return;
  changed_[path] = seen.owner;
  propagation_.notice(path, stamp.changed_at(), noticed);
}

void FileScanner::note_written(WallClock::time_point noticed) {
  const auto now = being_written();
  std::erase_if(in_pieces_, [&](const auto& entry) { return !now.contains(entry.first); });
  for (const auto& path : now) in_pieces_.try_emplace(path, noticed);
}

std::vector<Propagation> FileScanner::pending() const {
  auto changes = propagation_.pending();
  for (const auto& [path, since] : in_pieces_) {
    if (std::ranges::find(changes, path, &Propagation::path) == changes.end())
      changes.push_back({path, since, since, std::nullopt, 0, false});
  }
  return changes;
}

bool FileScanner::take_settings_changed() { return std::exchange(settings_changed_, false); }

void FileScanner::set_enforced(std::uint64_t generation,
                               const std::vector<std::string>& held_back) {
  for (const auto& path : held_back) propagation_.drop(path);
  propagation_.enforced(generation, WallClock::now());
  changed_.clear();
  is_stale_ = false;
}

}  // namespace moat
