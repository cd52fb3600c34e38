// SPDX-License-Identifier: BSD-2-Clause
#include "control/state/state.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <limits>
#include <system_error>

#include "control/os/atomic_file.h"
#include "control/os/file_io.h"
#include "control/policy/cidrs_digest.h"
#include "control/state/cidrs_lists.h"
#include "control/state/state_json.h"
#include "control/text/fnv1a.h"
#include "dataplane/own_folder.h"

namespace moat {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view lists_suffix = ".cidrs";

std::unexpected<Error> failure(std::string_view doing, const std::string& path, int error) {
  return std::unexpected(
      Error{describe_errno(doing, path, error), error == EROFS || error == EACCES || error == EPERM
                                                    ? "moatd must be able to write its state folder"
                                                    : ""});
}

constexpr std::string_view without_state =
    ". Rule files in order are enforced all the same; see that none is held back";

constexpr mode_t folder_mode = 0750;

// What is in the way of a folder, if anything.
std::optional<Error> find_obstacle(const std::string& folder) {
  for (fs::path at = fs::absolute(folder); at.has_relative_path(); at = at.parent_path()) {
    std::error_code error;
    const auto status = fs::status(at, error);
    if (!fs::exists(status) || fs::is_directory(status)) continue;
    const bool is_above = at != fs::absolute(folder);
    return Error{fmt::format("{} is no folder{}", at.string(),
                             is_above ? ", and " + folder + " is to be in it" : ""),
                 "remove it: rm " + at.string()};
  }
  return std::nullopt;
}

Result<> make_folder(const std::string& path) {
  if (auto obstacle = find_obstacle(path)) return std::unexpected(*std::move(obstacle));
  auto made = make_own_folder(path, folder_mode);
  if (!made && made.error().remedy.empty())
    made.error().remedy = "moatd must be able to write its state folder";
  return made;
}

// The whole of a file; nothing if there is none.
Result<std::optional<std::string>> read_if_there(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!fd && errno == ENOENT) return std::nullopt;
  if (!fd) return failure("open", path, errno);
  auto bytes = read_to_end(fd.get(), std::numeric_limits<std::uint32_t>::max());
  if (!bytes) return failure("read", path, bytes.error());
  return std::move(*bytes);
}

// Keeps what cannot be used for somebody to look at, in place of the one kept before.
std::string set_aside(const std::string& path) {
  const auto aside = path + ".corrupt";
  if (::rename(path.c_str(), aside.c_str()) != 0) return describe_errno("keep", aside, errno);
  return "kept as " + aside;
}

// Whoever may open the file may lock it, so that is root alone; and what is written to it goes
// nowhere else.
Result<Fd> open_lock(const std::string& path) {
  constexpr mode_t mode = 0600;
  constexpr int flags = O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  Fd lock(::open(path.c_str(), O_RDWR | O_CREAT | flags, mode));
  // One that is there can be locked on a file system that is read-only.
  if (!lock && errno == EROFS) lock = Fd(::open(path.c_str(), O_RDONLY | flags));
  struct stat status{};
  if (!lock && errno != ELOOP) return failure("open", path, errno == ENOENT ? EROFS : errno);
  if (lock && ::fstat(lock.get(), &status) != 0) return failure("look at", path, errno);
  if (!lock || !S_ISREG(status.st_mode) || status.st_nlink != 1) {
    return std::unexpected(
        Error{path + " is not a file that moatd has made", "remove it: rm " + path});
  }
  if (auto own = check_own(path, status); !own) return std::unexpected(own.error());
  if ((status.st_mode & 07777u) != mode && ::fchmod(lock.get(), mode) != 0)
    return failure("set the mode of", path, errno);
  return lock;
}

// For whoever is refused the lock. Over what is there, as a full disk has room for that alone;
// where it has not even that, the lock is held all the same.
void write_pid(int lock) {
  const auto pid = fmt::format("{}\n", ::getpid());
  if (write_all(lock, pid) == 0) (void)!::ftruncate(lock, static_cast<off_t>(pid.size()));
}

Error other_moatd(const std::string& path, int lock) {
  const auto text = read_to_end(lock, 32).value_or("");
  const auto pid = text.substr(0, text.find('\n'));
  return {fmt::format("another moatd{} uses this state folder: {} is locked",
                      pid.empty() ? "" : fmt::format(" (pid {})", pid), path),
          "stop it first, or give this one another folder with --state"};
}

}  // namespace

Result<StateStore> StateStore::open(const std::string& folder) {
  StateStore store(folder);
  auto obstacle = store.take();
  if (obstacle && obstacle->is_other_moatd) return std::unexpected(std::move(obstacle->error));
  return store;
}

std::optional<StateStore::Obstacle> StateStore::take() {
  const auto ranges = folder_ + "/ranges";
  const auto path = folder_ + "/lock";
  if (auto made = make_folder(folder_); !made) return Obstacle{std::move(made.error())};
  if (!lock_) {
    auto lock = open_lock(path);
    if (!lock) return Obstacle{std::move(lock.error())};
    if (::flock(lock->get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return Obstacle{other_moatd(path, lock->get()), true};
      return Obstacle{failure("lock", path, errno).error()};
    }
    write_pid(lock->get());
    lock_ = std::move(*lock);
  }
  if (auto made = make_folder(ranges); !made) return Obstacle{std::move(made.error())};
  remove_leftovers(folder_);
  remove_leftovers(ranges);
  is_ready_ = true;
  return std::nullopt;
}

// Named by what is in it, so that a file that is there need not be written.
std::string StateStore::lists_path(const std::set<std::string>& digests) const {
  Fnv1a hash;
  for (const auto& digest : digests) hash.add(digest);
  return fmt::format("{}/ranges/{:016x}{}", folder_, hash.value(), lists_suffix);
}

LoadedState StateStore::load() {
  LoadedState loaded;
  const auto path = folder_ + "/state.json";
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0 && (errno == ENOENT || errno == ENOTDIR)) return loaded;
  const auto refuse = [&loaded](const std::string& why, const std::string& what_is_done) {
    loaded.problems.push_back(
        fmt::format("the last state cannot be used: {} ({}){}", why, what_is_done, without_state));
    return loaded;
  };
  for (const auto& folder : {folder_, folder_ + "/ranges"}) {
    std::error_code error;
    if (!fs::exists(folder, error)) continue;
    if (const auto own = check_own_folder(folder); !own)
      return refuse(own.error().message, own.error().remedy);
  }
  if (const auto own = check_own(path, status); !own)
    return refuse(own.error().message, set_aside(path));
  const auto text = read_if_there(path);
  if (!text) return refuse(text.error().message, set_aside(path));
  if (!*text) return loaded;
  auto parsed = parse_state(**text);
  if (!parsed) return refuse(fmt::format("{}: {}", path, parsed.error()), set_aside(path));
  loaded.state = std::move(parsed->state);
  load_lists(loaded, parsed->digests);
  return loaded;
}

void StateStore::load_lists(LoadedState& loaded, const ListDigests& digests) {
  if (!loaded.state.enforced || digests.lists.empty()) return;
  std::set<std::string> used;
  for (const auto& [id, digest] : digests.lists) used.insert(digest);
  for (const auto& [id, held] : digests.held_down) used.insert(held.begin(), held.end());
  const auto path = lists_path(used);
  std::map<std::string, ReadCidrs> lists;
  std::string why_none = "it is not there";
  if (const auto bytes = read_if_there(path); !bytes) {
    why_none = bytes.error().message;
  } else if (*bytes) {
    auto parsed = parse_cidrs_lists(**bytes);
    if (parsed) {
      lists = std::move(*parsed);
    } else {
      why_none = parsed.error();
    }
  }
  std::string kept;  // whatever is wrong with the file, one of it is kept
  const auto take = [&](const std::string& digest) -> std::shared_ptr<const Prefixes> {
    const auto list = lists.find(digest);
    if (list == lists.end() || !list->second) return nullptr;
    auto cidrs = std::make_shared<const Prefixes>(*list->second);
    known_[cidrs.get()] = {cidrs, digest};
    return cidrs;
  };
  for (auto& [id, range] : loaded.state.enforced->policy.ranges) {
    for (std::size_t i = 0; i < range.held_down.size(); ++i)
      range.held_down[i].cidrs = take(digests.held_down.at(id)[i]);
    // Lost, it ends now: no reason to doubt the rest.
    if (std::erase_if(range.held_down, [](const HeldDown& held) { return !held.cidrs; }) > 0)
      loaded.problems.push_back(fmt::format(
          "what has left managed range {} is no longer held down: {} cannot be used", id, path));
    const auto& digest = digests.lists.at(id);
    const auto list = lists.find(digest);
    range.cidrs = take(digest);
    if (range.cidrs) continue;
    if (kept.empty()) kept = set_aside(path);
    loaded.problems.push_back(
        fmt::format("what managed range {} was last cannot be used: {}: {} ({}); until its file "
                    "is read it lets nobody in",
                    id, path, list == lists.end() ? why_none : list->second.error(), kept));
    loaded.state.is_incomplete = true;
    range.cidrs = std::make_shared<const Prefixes>();
  }
}

std::string StateStore::digest_of(const std::shared_ptr<const Prefixes>& cidrs) const {
  auto& known = known_[cidrs.get()];
  if (known.cidrs.lock() != cidrs) known = {cidrs, cidrs_digest(*cidrs)};
  return known.digest;
}

Result<> StateStore::save(const State& state) {
  if (!is_ready_) {
    if (auto obstacle = take()) return std::unexpected(std::move(obstacle->error));
  }
  std::erase_if(known_, [](const auto& entry) { return entry.second.cidrs.expired(); });
  ListDigests digests;
  CidrsLists lists;
  std::set<std::string> used;
  if (state.enforced) {
    for (const auto& [id, range] : state.enforced->policy.ranges) {
      const auto keep = [&](const std::shared_ptr<const Prefixes>& cidrs) {
        const auto digest = digest_of(cidrs);
        lists.emplace(digest, cidrs);
        used.insert(digest);
        return digest;
      };
      digests.lists[id] = keep(range.cidrs);
      for (const auto& held : range.held_down) digests.held_down[id].push_back(keep(held.cidrs));
    }
  }
  const auto path = lists_path(used);
  if (!lists.empty() && !fs::exists(path)) {
    const auto written = write_file(path, format_cidrs_lists(lists));
    if (!written) return std::unexpected(Error(written.error()));
  }
  const auto written = write_file(folder_ + "/state.json", format_state(state, digests));
  if (!written) return std::unexpected(Error(written.error()));
  remove_all_but(path);
  return {};
}

// A file that cannot be removed costs space and nothing else; the next save tries again.
void StateStore::remove_all_but(const std::string& lists) const {
  std::error_code error;
  std::vector<fs::path> unused;
  for (fs::directory_iterator file(folder_ + "/ranges", error), end; !error && file != end;
       file.increment(error)) {
    if (file->path().extension() == lists_suffix && file->path() != lists)
      unused.push_back(file->path());
  }
  for (const auto& path : unused) fs::remove(path, error);
}

}  // namespace moat
