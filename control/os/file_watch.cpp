// SPDX-License-Identifier: BSD-2-Clause
#include "control/os/file_watch.h"

#include <fmt/format.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <deque>
#include <filesystem>
#include <system_error>
#include <utility>

#include "dataplane/error.h"

namespace moat {
namespace {

namespace fs = std::filesystem;

// Of a folder on the way: its names come and go.
constexpr std::uint32_t structure_mask =
    IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF;
// Of a file, and of the folder it is in: what it says, and who may say it.
constexpr std::uint32_t content_mask = structure_mask | IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB;
constexpr int max_links = 40;  // as in the kernel

void push_components(std::deque<std::string>& components, const fs::path& path) {
  auto at = components.begin();
  for (const auto& part : path) {
    if (part.empty() || part == "." || part == "/") continue;
    at = std::next(components.insert(at, part.string()));
  }
}

}  // namespace

Watch::Watch() : fd_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
  if (fd_ >= 0) return;
  problem_ = fmt::format(
      "changes of files are seen only when they are looked for: inotify: {} "
      "(raise fs.inotify.max_user_instances)",
      errno_words(errno));
}

Watch::~Watch() {
  if (fd_ >= 0) close(fd_);
}

// Walks `path` as the kernel would, and notes each folder that a step is taken in.
void Watch::trace(const std::string& path, Wishes& wishes) {
  std::error_code ignored;
  std::deque<std::string> components;
  push_components(components, fs::absolute(path, ignored));
  fs::path here = "/";
  for (int links = 0; !components.empty();) {
    const auto name = std::move(components.front());
    components.pop_front();
    if (name == "..") {
      here = here.parent_path();
      continue;
    }
    const auto next = here / name;
    const bool is_last = components.empty();
    auto& wish = wishes[here.string()];
    wish.mask |= is_last ? content_mask : structure_mask;
    wish.interest.names.insert(name);
    struct stat status{};
    if (lstat(next.c_str(), &status) != 0) return;  // waited for
    if (S_ISLNK(status.st_mode)) {
      const auto target = fs::read_symlink(next, ignored);
      if (ignored || ++links > max_links) return;
      if (target.is_absolute()) here = "/";
      push_components(components, target);
      continue;
    }
    here = next;
    if (!is_last) continue;
    auto& last = wishes[here.string()];
    last.mask |= content_mask;
    last.interest.every_name = S_ISDIR(status.st_mode);
  }
}

bool Watch::follow(const std::vector<std::string>& paths) {
  if (fd_ < 0) return false;
  Wishes wishes;
  for (const auto& path : paths) trace(path, wishes);
  problem_.clear();
  bool is_new = false;
  std::map<int, Watched> wanted;
  for (auto& [path, wish] : wishes) {
    // One file may be wanted by several names: their masks add up.
    const int descriptor = inotify_add_watch(fd_, path.c_str(), wish.mask | IN_MASK_ADD);
    if (descriptor < 0) {
      if (errno == ENOENT || errno == ENOTDIR) continue;  // just gone: the folder above tells
      problem_ = fmt::format(
          "changes of {} and perhaps other files are seen only when they are looked for: "
          "inotify: {}{}",
          path, errno_words(errno), errno == ENOSPC ? " (raise fs.inotify.max_user_watches)" : "");
      continue;
    }
    is_new |= !watched_.contains(descriptor);
    auto& interest = wanted.try_emplace(descriptor, Watched{path, {}}).first->second.interest;
    interest.every_name |= wish.interest.every_name;
    interest.names.merge(wish.interest.names);
  }
  for (const auto& [descriptor, watched] : watched_) {
    if (!wanted.contains(descriptor)) inotify_rm_watch(fd_, descriptor);
  }
  std::erase_if(unfinished_,
                [&wanted](const auto& entry) { return !wanted.contains(entry.first.first); });
  watched_ = std::move(wanted);
  return is_new;
}

bool Watch::matters(int descriptor, std::uint32_t mask, const char* name) {
  const auto watched = watched_.find(descriptor);
  if (watched == watched_.end()) return false;  // no longer wanted
  if (mask & IN_IGNORED) {
    watched_.erase(watched);
    return true;
  }
  if (name == nullptr) return true;  // the file or folder itself
  const auto& interest = watched->second.interest;
  return interest.names.contains(std::string_view(name)) || (interest.every_name && name[0] != '.');
}

// Nothing: it is gone, and an event about that follows.
std::optional<FileId> Watch::file_of(int descriptor, const char* name) const {
  const auto watched = watched_.find(descriptor);
  if (watched == watched_.end()) return std::nullopt;
  auto path = watched->second.path;
  if (name != nullptr) path.append("/").append(name);
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) return std::nullopt;
  return FileId{status.st_dev, status.st_ino};
}

void Watch::note_writing(int descriptor, std::uint32_t mask, const char* name) {
  Written file{descriptor, name != nullptr ? name : ""};
  if ((mask & IN_CLOSE_WRITE) != 0) {
    if (const auto id = file_of(descriptor, name)) closed_.insert(*id);
  }
  if ((mask & IN_MODIFY) != 0) {
    if (const auto id = file_of(descriptor, name)) {
      unfinished_.insert_or_assign(std::move(file), *id);
    }
  } else if ((mask & (IN_CLOSE_WRITE | IN_DELETE | IN_MOVE | IN_DELETE_SELF | IN_IGNORED)) != 0) {
    unfinished_.erase(file);
  }
}

bool Watch::is_being_written(const FileId& file) {
  hear();
  return std::ranges::any_of(unfinished_, [&](const auto& entry) { return entry.second == file; });
}

std::optional<std::set<FileId>> Watch::take_closed() {
  hear();
  auto closed = std::exchange(closed_, {});
  if (std::exchange(has_lost_closed_, false) || !problem_.empty()) return std::nullopt;
  return closed;
}

Watch::News Watch::drain() {
  hear();
  return std::exchange(news_, {});
}

void Watch::hear() {
  alignas(inotify_event) std::array<char, 16384> buffer;
  for (;;) {
    const auto got = read(fd_, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return;
    for (const char* at = buffer.data(); at < buffer.data() + got;) {
      const auto& event = *reinterpret_cast<const inotify_event*>(at);
      at += sizeof(inotify_event) + event.len;
      const char* name = event.len != 0 ? event.name : nullptr;
      if (event.mask & IN_Q_OVERFLOW) {
        news_.overflow = news_.changed = true;
        unfinished_.clear();  // the end of their writing may be among what was lost
        has_lost_closed_ = true;
      }
      if (!matters(event.wd, event.mask, name)) continue;
      news_.changed = true;
      note_writing(event.wd, event.mask, name);
    }
  }
}

}  // namespace moat
