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
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <tuple>

#include "dataplane/own_folder.h"
#include "dataplane/pinned.h"
#include "dataplane/xdp/bpf_error.h"
#include "dataplane/xdp/bpf_map.h"
#include "dataplane/xdp/own_netns.h"

namespace moat {
namespace {

namespace fs = std::filesystem;

// An object is pinned by this name first and then renamed, so that a name never stands for nothing.
constexpr auto unborn = "new";

// No pin, but the name by which the program of what has not come back is remembered.
constexpr auto earlier_program = "xdp-earlier";

// Begins the end of the name of what was not Moat's.
constexpr auto moved_aside = "-of-uid-";

constexpr mode_t own_mode = 0700;
constexpr mode_t for_others = 0077;

// Of the kernel (PROC_PID_INIT_INO): the number of the host's own PID namespace.
constexpr ino_t first_pid_namespace = 0xEFFFFFFC;

bool is_same_file(const struct stat& one, const struct stat& other) {
  return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

bool is_on_bpf(const fs::path& path) {
  struct statfs about = {};
  return ::statfs(path.c_str(), &about) == 0 && about.f_type == BPF_FS_MAGIC;
}

bool is_table(const std::string& name) { return name.starts_with(pin::table); }

Fd open_folder(int at, const std::string& path) {
  return Fd(::openat(at, path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

// "a/b" of "a/b/".
fs::path without_slash(const std::string& path) {
  const fs::path plain = path;
  return plain.has_filename() ? plain : plain.parent_path();
}

Result<> mount_bpf(const fs::path& path) {
  std::error_code error;
  const std::string remedy = fmt::format(
      "mount a bpf filesystem: {}mount -t bpf -o mode=0700 bpf {}",
      fs::exists(path, error) ? "" : fmt::format("mkdir -p {} && ", path.string()), path.string());
  if (auto own = check_own_folder(path); !own) {
    if (own.error().remedy.empty()) own.error().remedy = remedy;
    return own;
  }
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
    known_->refusal = Error{fmt::format("another moatd has the pins in {}", folder_),
                            "stop it, or give this one a --bpffs of its own"};
  } else if (const auto same = check_netns(); !same) {
    known_->refusal = same.error();
    known_->lock = Fd();
    return false;
  } else {
    remove(unborn);  // of one who was killed between the two
    take_back();
    if (!std::exchange(known_->is_compared, true)) compare();
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
  for (const auto& one : {folder, folder / pin::links})
    if (auto owned = own(one); !owned) return std::unexpected(owned.error());
  if (!is_on_bpf(folder))
    return std::unexpected(Error{folder_ + " is not on a bpf filesystem", "name another folder"});
  return lock();
}

// What stands there may be replaced by others only as long as it is theirs.
Result<> BpfPins::own(const std::string& folder) const {
  constexpr int max_tries = 10;
  for (int tries = 0; tries < max_tries; tries++) {
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
  const auto aside =
      fmt::format("{}{}{}-{:08x}", folder, moved_aside, stranger, std::random_device()());
  if (::rename(folder.c_str(), aside.c_str()) == 0) {
    known_->moved[aside] =
        fmt::format("{} belonged to another user, uid {}, and is {} now", folder, stranger, aside);
    return {};
  }
  if (errno == ENOENT) return {};
  return std::unexpected(
      Error{fmt::format("{} belongs to another user, uid {}, and cannot be moved: {}", folder,
                        stranger, errno_words(errno)),
            fmt::format("remove it: rm -r {}", folder)});
}

Result<bool> BpfPins::lock() const {
  const std::string links = path(pin::links);
  struct stat locked = {};
  struct stat there = {};
  if (known_->lock && ::fstat(known_->lock.get(), &locked) == 0 &&
      ::lstat(links.c_str(), &there) == 0 && is_same_file(locked, there))
    return true;
  Fd folder = open_folder(AT_FDCWD, links);
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

// ---- Whose the pins are ----

Result<> BpfPins::check_netns() const {
  const Fd pin = get(pin::netns);
  const auto guarded = pin ? read_netns_map(pin.get()) : std::nullopt;
  if (!guarded) return {};  // none yet, or one of a version that had none
  const auto ours = own_netns();
  if (!ours) return std::unexpected(ours.error());
  if (guarded->cookie == ours->cookie) return {};
  return std::unexpected(Error{
      fmt::format("the pins in {} guard another network namespace, {}: this is {}", folder_,
                  describe(*guarded), describe(*ours)),
      fmt::format("start moatd there, or give this one a --bpffs and a --state of its own; if that "
                  "namespace is to be guarded no longer: rm -r {}",
                  folder_)});
}

// What an earlier daemon had pinned and is not there, or is there and another user's. Of tables,
// one is there at a time, and which depends on when that daemon ended.
void BpfPins::compare() const {
  const auto there = list();
  const bool has_table = std::ranges::any_of(there, is_table);
  for (const auto& [name, id] : known_->earlier) {
    if (name == earlier_program) continue;
    struct stat status = {};
    if (::lstat(path(name).c_str(), &status) != 0) {
      if (!is_table(name) || !has_table) note_missing(name);
      continue;
    }
    if (check_own(name, status)) continue;
    known_->replaced_at_start.insert(name);
    const Fd pin(bpf_obj_get(path(name).c_str()));
    if (pin && kernel_id(pin.get()) == id) std::ignore = put(name, pin.get());
  }
}

std::vector<std::string> BpfPins::asides() const {
  std::vector<std::string> found;
  for (const fs::path& folder : {without_slash(folder_), without_slash(folder_) / pin::links}) {
    std::error_code error;
    const auto begin = folder.filename().string() + moved_aside;
    for (fs::directory_iterator at(folder.parent_path(), error), end; !error && at != end;
         at.increment(error))
      if (at->path().filename().string().starts_with(begin)) found.push_back(at->path());
  }
  return found;
}

void BpfPins::take_back() const {
  known_->problems.clear();
  for (const auto& aside : asides()) {
    const bool is_links = fs::path(aside).filename().string().starts_with(pin::links);
    const Fd folder = open_folder(AT_FDCWD, aside);
    bool is_read = folder || errno == ENOTDIR || errno == ELOOP;
    if (folder) {
      is_read = take_back(folder, is_links ? "links/" : "");
      const Fd links = is_links ? Fd() : open_folder(folder.get(), pin::links);
      if (links) is_read &= take_back(links, "links/");
      if (links) ::unlinkat(folder.get(), "links", AT_REMOVEDIR);
      ::rmdir(aside.c_str());
    }
    const auto moved = known_->moved.extract(aside);
    if (is_read) {
      if (moved) known_->folders.push_back(moved.mapped());
      continue;
    }
    known_->problems.push_back(
        fmt::format("{} belongs to another user: pins of Moat's in it may keep an earlier program "
                    "attached (chown -R root:root {}; then: moat status)",
                    aside, aside));
  }
}

// True if nothing of Moat's is left there. Whose folder it is may change any of its names
// meanwhile, but not what the folder is that is open. One that is root's again, root has given
// back.
bool BpfPins::take_back(const Fd& folder, const std::string& sub) const {
  struct stat status = {};
  if (::fstat(folder.get(), &status) != 0) return false;
  const bool is_own = !is_stranger(status.st_uid);
  const auto is = [](const PinIds& ids, const std::string& name, std::uint32_t id) {
    const auto found = ids.find(name);
    return found != ids.end() && found->second == id;
  };
  bool is_read = true;
  const auto open = fmt::format("/proc/self/fd/{}", folder.get());
  std::error_code error;
  for (fs::directory_iterator at(open, error), end; !error && at != end; at.increment(error)) {
    if (!at->is_regular_file(error)) continue;
    const auto file = at->path().filename().string();
    const Fd pin(bpf_obj_get(at->path().c_str()));
    is_read &= static_cast<bool>(pin);
    if (!pin) continue;
    std::string name = sub + file;
    std::replace(name.begin(), name.end(), ':', '.');
    const auto id = kernel_id(pin.get());
    if (!is_own && !is(known_->earlier, name, id) && !is(known_->pinned, name, id)) continue;
    if (::lstat(path(name).c_str(), &status) != 0 && !put(name, pin.get())) return false;
    ::unlinkat(folder.get(), file.c_str(), 0);
  }
  return is_read && !error;
}

std::string BpfPins::remedy_for(const std::string& name) const {
  struct stat status = {};
  const auto there = path(name);
  if (::lstat(there.c_str(), &status) == 0 && !check_own(name, status))
    return fmt::format("chown root:root {}; then: moat status", there);
  return {};
}

// ---- Whether they stay ----

Result<> BpfPins::check_lasting() const {
  if (known_->refusal) return std::unexpected(*known_->refusal);
  struct stat own = {};
  // The first process of a namespace sees what this one sees.
  if (::stat("/proc/self/ns/pid", &own) != 0 || own.st_ino != first_pid_namespace) return {};
  struct stat folder = {};
  if (::stat(folder_.c_str(), &folder) != 0) return bpf_failure("look at " + folder_);
  const auto device = fmt::format("{}:{}", major(folder.st_dev), minor(folder.st_dev));
  std::ifstream mounts("/proc/1/mountinfo");
  if (!mounts) return {};
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string number, parent, mounted;
    fields >> number >> parent >> mounted;
    if (mounted == device) return {};
  }
  const auto mount = without_slash(folder_).parent_path().string();
  return std::unexpected(
      Error{fmt::format(
                "the bpf filesystem of {} is mounted for moatd alone, in a mount namespace of its "
                "own",
                folder_),
            fmt::format(
                "stop moatd and mount it for the whole host first: nsenter --mount=/proc/1/ns/mnt "
                "sh -c 'mkdir -p {0} && mount -t bpf -o mode=0700 bpf {0}'; then let moatd see "
                "that mount",
                mount)});
}

PinIds BpfPins::to_expect() const {
  PinIds ids = known_->pinned;
  for (const auto& [name, id] : known_->earlier) {
    if (is_pinned(name) || name == earlier_program) continue;
    ids[name] = id;
    for (const auto* program : {pin::program, earlier_program})
      if (const auto earlier = known_->earlier.find(program); earlier != known_->earlier.end())
        ids[earlier_program] = earlier->second;
  }
  return ids;
}

bool BpfPins::is_own_program(std::uint32_t id) const {
  for (const auto* ids : {&known_->pinned, &known_->earlier})
    for (const auto* name : {pin::program, earlier_program})
      if (const auto found = ids->find(name); found != ids->end() && found->second == id)
        return true;
  return false;
}

bool BpfPins::is_pinned(const std::string& name) const {
  if (!is_table(name)) return known_->pinned.contains(name);
  return std::ranges::any_of(known_->pinned, [](const auto& pin) { return is_table(pin.first); });
}

std::vector<std::string> BpfPins::take_mended() const {
  auto told = std::exchange(known_->folders, {});
  const auto tell = [&told](auto& names, const char* one, const char* more) {
    if (names.size() == 1) told.push_back(fmt::format("the pin {} {}", *names.begin(), one));
    if (names.size() > 1)
      told.push_back(fmt::format("the pins {} {}", fmt::join(names, ", "), more));
    names.clear();
  };
  tell(known_->missing, "was missing", "were missing");
  tell(known_->replaced, "was not Moat's", "were not Moat's");
  // Only what is pinned again: what holds the program on an interface may be out of reach.
  const auto tell_pinned = [&](std::set<std::string>& names, const char* one, const char* more) {
    std::set<std::string> back;
    for (const auto& name : names)
      if (is_pinned(name)) back.insert(name);
    for (const auto& name : back) names.erase(name);
    tell(back, one, more);
  };
  tell_pinned(known_->missing_at_start, "was missing when moatd started",
              "were missing when moatd started");
  tell_pinned(known_->replaced_at_start, "was another user's when moatd started",
              "were another user's when moatd started");
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

Result<> BpfPins::ensure_run(const std::string& program, int fd,
                             const std::vector<std::pair<std::string, int>>& links) const {
  if (fd >= 0 && !holds(program, fd)) announce(program, fd);
  if (auto done = ensure(links); !done) return done;
  if (auto done = ensure({{program, fd}}); !done) return done;
  forget_next(program);
  return {};
}

void BpfPins::announce(const std::string& program, int fd) const {
  std::ignore = put(program + pin::next, fd);
}

void BpfPins::forget_next(const std::string& program) const {
  if (::access(path(program + pin::next).c_str(), F_OK) == 0) remove(program + pin::next);
}

std::optional<bool> BpfPins::runs_pinned(const std::string& program, std::uint32_t id) const {
  const Fd pinned = get(program);
  if (!pinned) return {};
  const Fd next = get(program + pin::next);
  return kernel_id(pinned.get()) == id || (next && kernel_id(next.get()) == id);
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
  known_->earlier.erase(name);  // nobody is to look for it
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
