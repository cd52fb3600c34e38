// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/xdp/bpf_pins.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <random>

#include "dataplane/own_folder.h"
#include "dataplane/xdp/bpf_error.h"
#include "dataplane/xdp/bpf_map.h"

namespace moat {
namespace {

namespace fs = std::filesystem;

// An object is pinned by this name first and then renamed, so that a name never stands for nothing.
constexpr auto unborn = "new";

constexpr mode_t own_mode = 0700;
constexpr mode_t for_others = 0077;

bool is_same_file(const struct stat& one, const struct stat& other) {
  return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

bool is_on_bpf(const fs::path& path) {
  struct statfs about = {};
  return ::statfs(path.c_str(), &about) == 0 && about.f_type == BPF_FS_MAGIC;
}

// "a/b" of "a/b/".
fs::path without_slash(const std::string& path) {
  const fs::path plain = path;
  return plain.has_filename() ? plain : plain.parent_path();
}

Result<> mount_bpf(const fs::path& path) {
  const std::string remedy =
      fmt::format("mount a bpf filesystem: mount -t bpf bpf {}", path.string());
  if (auto own = check_own_folder(path); !own) {
    if (own.error().remedy.empty()) own.error().remedy = remedy;
    return own;
  }
  std::error_code error;
  const bool empty = fs::is_empty(path, error);
  if (error) return bpf_failure("look into " + path.string(), error.value(), remedy);
  // Whatever is in the folder would be hidden.
  if (!empty) return std::unexpected(Error{path.string() + " is not on a bpf filesystem", remedy});
  if (::mount("bpf", path.c_str(), "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") != 0)
    return bpf_failure("mount a bpf filesystem on " + path.string(), errno, remedy);
  return {};
}

}  // namespace

std::string BpfPins::path(const std::string& name) const {
  std::string encoded = name;
  std::replace(encoded.begin(), encoded.end(), '.', ':');
  return folder_ + "/" + encoded;
}

// ---- The folder ----

Result<bool> BpfPins::prepare() const {
  auto prepared = make_and_lock();
  known_->refusal.reset();
  if (!prepared) {
    known_->refusal = prepared.error();
  } else if (!*prepared) {
    known_->refusal = Error{"another process has the pins in " + folder_, {}};
  } else {
    remove(unborn);  // of one who was killed between the two
  }
  return prepared;
}

Result<bool> BpfPins::make_and_lock() const {
  const fs::path folder = without_slash(folder_);
  if (!is_on_bpf(folder)) {
    const fs::path parent = folder.has_parent_path() ? folder.parent_path() : ".";
    if (!is_on_bpf(parent))
      if (auto mounted = mount_bpf(parent); !mounted) return std::unexpected(mounted.error());
  }
  // From here on no stranger changes what the path leads to, once the folder is ours.
  if (auto safe = check_folders_above(folder); !safe) return std::unexpected(safe.error());
  for (const auto& one : {folder, folder / "links"})
    if (auto owned = own(one); !owned) return std::unexpected(owned.error());
  if (!is_on_bpf(folder))
    return std::unexpected(Error{folder_ + " is not on a bpf filesystem", "name another folder"});
  return lock();
}

// What stands there may be replaced by others only as long as it is theirs.
Result<> BpfPins::own(const std::string& folder) const {
  constexpr int most_tries = 10;
  for (int tries = 0; tries < most_tries; tries++) {
    if (::mkdir(folder.c_str(), own_mode) != 0 && errno != EEXIST)
      return bpf_failure("make the folder " + folder);
    struct stat status = {};
    if (::lstat(folder.c_str(), &status) != 0) {
      if (errno == ENOENT) continue;
      return bpf_failure("look at " + folder);
    }
    if (is_stranger(status.st_uid)) {
      if (auto moved = move_aside(folder, status.st_uid); !moved) return moved;
      continue;
    }
    if (!S_ISDIR(status.st_mode))
      return std::unexpected(Error{folder + " is no folder", "remove it: rm " + folder});
    if ((status.st_mode & for_others) == 0) return {};
    if (::chmod(folder.c_str(), own_mode) != 0) return bpf_failure("set the mode of " + folder);
    known_->folders.push_back(fmt::format("the folder {} was open to others (mode {:04o})", folder,
                                          status.st_mode & 07777u));
    return {};
  }
  return std::unexpected(Error{fmt::format("others keep taking the name {}", folder),
                               "end who does, or give moatd a --bpffs that is root's alone"});
}

Result<> BpfPins::move_aside(const std::string& folder, unsigned stranger) const {
  // A name that nobody can have taken beforehand.
  const auto aside = fmt::format("{}-of-uid-{}-{:08x}", folder, stranger, std::random_device()());
  if (::rename(folder.c_str(), aside.c_str()) == 0) {
    known_->folders.push_back(
        fmt::format("{} belonged to another user, uid {}, and is {} now", folder, stranger, aside));
    return {};
  }
  if (errno == ENOENT) return {};
  return std::unexpected(
      Error{fmt::format("{} belongs to another user, uid {}, and cannot be moved: {}", folder,
                        stranger, errno_words(errno)),
            fmt::format("remove it: rm -r {}", folder)});
}

Result<bool> BpfPins::lock() const {
  const std::string links = path("links");
  struct stat locked = {};
  struct stat there = {};
  if (known_->lock && ::fstat(known_->lock.get(), &locked) == 0 &&
      ::lstat(links.c_str(), &there) == 0 && is_same_file(locked, there))
    return true;
  Fd folder(::open(links.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder) return bpf_failure("open " + links);
  if (::flock(folder.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return false;
    return bpf_failure("lock " + links);
  }
  // Who had it before may have removed it meanwhile.
  if (::fstat(folder.get(), &locked) != 0 || ::lstat(links.c_str(), &there) != 0 ||
      !is_same_file(locked, there))
    return std::unexpected(Error{links + " was removed by another process", "try again"});
  known_->lock = std::move(folder);
  return true;
}

std::vector<std::string> BpfPins::take_mended() const {
  auto told = std::exchange(known_->folders, {});
  const auto tell = [&told](std::vector<std::string>& names, const char* one, const char* more) {
    if (names.size() == 1) told.push_back(fmt::format("the pin {} {}", names[0], one));
    if (names.size() > 1)
      told.push_back(fmt::format("the pins {} {}", fmt::join(names, ", "), more));
    names.clear();
  };
  tell(known_->missing, "was missing", "were missing");
  tell(known_->replaced, "was not Moat's", "were not Moat's");
  return told;
}

// ---- Pins ----

Result<> BpfPins::put(const std::string& name, int fd) const {
  if (known_->refusal) return std::unexpected(*known_->refusal);
  if (bpf_obj_pin(fd, path(unborn).c_str()) != 0) return bpf_failure("pin " + path(name));
  if (rename(unborn, name)) {
    known_->pinned[name] = kernel_id(fd);
    return {};
  }
  auto failure = bpf_failure("pin " + path(name));
  remove(unborn);
  return failure;
}

Result<> BpfPins::ensure(const std::vector<std::pair<std::string, int>>& objects) const {
  for (const auto& [name, fd] : objects) {
    if (fd < 0) continue;
    const std::uint32_t id = kernel_id(fd);
    if (holds(name, fd)) {
      known_->pinned[name] = id;
      continue;
    }
    const auto before = known_->pinned.find(name);
    const bool was_pinned = before != known_->pinned.end() && before->second == id;
    struct stat status = {};
    const bool is_missing = ::lstat(path(name).c_str(), &status) != 0;
    if (auto done = put(name, fd); !done) return done;
    if (was_pinned) (is_missing ? known_->missing : known_->replaced).push_back(name);
  }
  return {};
}

Fd BpfPins::get(const std::string& name) const {
  struct stat status = {};
  if (known_->refusal || ::lstat(path(name).c_str(), &status) != 0 || !S_ISREG(status.st_mode) ||
      !check_own(name, status))
    return {};
  const int fd = bpf_obj_get(path(name).c_str());
  return fd >= 0 ? Fd(fd) : Fd();
}

bool BpfPins::holds(const std::string& name, int fd) const {
  const Fd pinned = get(name);
  return pinned && kernel_id(pinned.get()) == kernel_id(fd);
}

bool BpfPins::rename(const std::string& from, const std::string& to) const {
  return !known_->refusal && ::rename(path(from).c_str(), path(to).c_str()) == 0;
}

void BpfPins::remove(const std::string& name) const {
  if (known_->refusal) return;
  ::unlink(path(name).c_str());
  known_->pinned.erase(name);
}

std::vector<std::string> BpfPins::list(const std::string& sub) const {
  std::vector<std::string> names;
  if (known_->refusal) return names;
  std::error_code error;
  for (fs::directory_iterator at(folder_ + "/" + sub, error), end; !error && at != end;
       at.increment(error)) {
    if (at->is_directory(error)) continue;
    std::string name = at->path().filename();
    std::replace(name.begin(), name.end(), ':', '.');
    names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<> BpfPins::remove_all() const {
  if (known_->refusal) return {};
  for (const auto& name : list()) remove(name);
  ::rmdir((folder_ + "/links").c_str());
  if (::rmdir(folder_.c_str()) != 0 && errno != ENOENT)
    return bpf_failure("remove the folder " + folder_);
  return {};
}

}  // namespace moat
