// SPDX-License-Identifier: BSD-2-Clause
#include "control/os/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/limits.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <system_error>
#include <utility>

#include "control/os/file_io.h"
#include "control/os/found_file.h"
#include "dataplane/fd.h"

namespace moat {
namespace {

using WriteResult = std::expected<void, WriteError>;
using Kind = WriteError::Kind;

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string remedy_for(int error, const std::string& path) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "make room on the file system";
    case EROFS:
      return fmt::format(
          "mount the file system writable; where it is so for others, moatd's unit keeps it from "
          "moatd: systemctl edit moatd, and name {} in ReadWritePaths=",
          folder_of(path));
    case EBUSY:
      return "it is mounted by itself (a bind mount), and cannot be replaced: mount its folder "
             "instead, or edit it in place";
    case EPERM:
      return "see lsattr: the file or its folder may be immutable";
    case EACCES:
      return "check owner and mode of the file and its folder";
    default:
      return "";
  }
}

std::unexpected<WriteError> failure(std::string_view doing, const std::string& path, int error) {
  const auto kind =
      error == EROFS || error == EPERM || error == EACCES ? Kind::read_only : Kind::failed;
  return std::unexpected(
      WriteError{{describe_errno(doing, path, error), remedy_for(error, path)}, kind});
}

std::unexpected<WriteError> has_changed(const std::string& path) {
  return std::unexpected(WriteError{
      {fmt::format("{} has changed meanwhile", path), "look at it, and try again"}, Kind::changed});
}

// Where a file really lies. Its folder is held open: who may rename folders on the way there leads
// nobody elsewhere meanwhile.
struct Target {
  Fd folder;  // O_PATH
  std::string name;
  std::string path;  // without symlinks

  // A name for what is called `beside` in the same folder.
  [[nodiscard]] std::string at(std::string_view beside) const {
    return fmt::format("{}/{}", name_of(folder.get()), beside);
  }
};

// Or errno.
std::expected<std::string, int> real_path(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr),
                                                         &std::free);
  if (!real) return std::unexpected(errno);
  return std::string(real.get());
}

// `path` without symlinks on the way, but for its last part.
std::expected<std::string, WriteError> resolve_folder(const std::string& path) {
  const auto real = real_path(folder_of(path));
  if (!real) return failure("open", path, real.error());
  return fmt::format("{}/{}", *real == "/" ? "" : *real, path.substr(path.rfind('/') + 1));
}

// The file that `path` leads to. A new file is `path` itself.
std::expected<std::string, WriteError> resolve_links(const std::string& path, bool may_be_new) {
  auto real = real_path(path);
  if (real) return std::move(*real);
  struct stat link{};
  const bool is_there = ::lstat(path.c_str(), &link) == 0;
  if (!may_be_new || real.error() != ENOENT || is_there)
    return failure(is_there ? "follow the symlink" : "open", path, real.error());
  return resolve_folder(path);
}

// `real` is a path without symlinks.
std::expected<Target, WriteError> open_target(const std::string& path, const std::string& real) {
  auto folder = find_file(AT_FDCWD, folder_of(real));
  if (!folder) return failure("open", path, folder.error());
  if (folder->by_symlink) return has_changed(path);  // there was none a moment ago
  return Target{std::move(folder->object), real.substr(real.rfind('/') + 1), real};
}

std::expected<Target, WriteError> find_target(const std::string& path, bool may_be_new) {
  const auto real = resolve_links(path, may_be_new);
  if (!real) return std::unexpected(real.error());
  return open_target(path, *real);
}

// A file's extended attributes, ACLs among them, by name.
using Attributes = std::map<std::string, std::string>;

// Or errno.
std::expected<Attributes, int> attributes_of(int fd) {
  Attributes attributes;
  std::string names(XATTR_LIST_MAX, '\0');
  const auto length = ::flistxattr(fd, names.data(), names.size());
  if (length < 0 && errno == ENOTSUP) return attributes;
  if (length < 0) return std::unexpected(errno);
  std::string_view rest(names.data(), static_cast<std::size_t>(length));
  while (!rest.empty()) {
    const std::string name(rest.substr(0, rest.find('\0')));
    rest.remove_prefix(name.size() + 1);
    std::string value(XATTR_SIZE_MAX, '\0');
    const auto size = ::fgetxattr(fd, name.c_str(), value.data(), value.size());
    if (size < 0 && errno == ENODATA) continue;  // gone meanwhile
    if (size < 0) return std::unexpected(errno);
    value.resize(static_cast<std::size_t>(size));
    attributes.emplace(name, std::move(value));
  }
  return attributes;
}

// These vouch for the bytes, which are others now.
bool is_of_the_bytes(std::string_view name) {
  return name == "security.ima" || name == "security.evm";
}

bool is_of_a_security_module(std::string_view name) { return name.starts_with("security."); }

// Who may do what with a file.
struct Rights {
  uid_t owner = 0;
  gid_t group = 0;
  mode_t mode = 0;
  Attributes attributes;

  friend bool operator==(const Rights&, const Rights&) = default;
};

// The rights of the file at `real`, if it says `expected`.
std::expected<Rights, WriteError> check_unchanged(const std::string& path, const std::string& real,
                                                  std::string_view expected) {
  const Fd fd(::open(real.c_str(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
  if (!fd && errno == ELOOP) return has_changed(path);  // a symlink by now
  struct stat status{};
  if (!fd || ::fstat(fd.get(), &status) != 0) return failure("open", path, errno);
  if (!S_ISREG(status.st_mode)) return has_changed(path);
  auto attributes = attributes_of(fd.get());
  if (!attributes) return failure("read the attributes of", path, attributes.error());
  const auto bytes = read_to_end(fd.get(), expected.size());
  if (!bytes) return failure("read", path, bytes.error());
  if (*bytes != expected) return has_changed(path);
  if (has_writer(fd.get()).value_or(false)) {
    return std::unexpected(WriteError{
        {fmt::format("somebody has {} open for writing", path), how_to_find_writer(path)},
        Kind::changed});
  }
  return Rights{status.st_uid, status.st_gid, status.st_mode, std::move(*attributes)};
}

// A file beside the real one, removed again unless it takes its place.
class Temporary {
 public:
  // `target` must outlive this.
  explicit Temporary(const Target& target, Durability durability = Durability::now)
      : target_(target),
        durability_(durability),
        path_(target.at(fmt::format(".{}.moat-XXXXXX", target.name))),
        fd_(::mkostemp(path_.data(), O_CLOEXEC)),
        error_(fd_ ? 0 : errno) {}
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  ~Temporary() {
    if (fd_ && !path_.empty()) ::unlink(path_.c_str());
  }

  // Owner before mode: a change of owner takes mode bits away. ACL before mode: with one, the
  // mode's bits for the group are its mask.
  WriteResult fill(std::string_view bytes, uid_t owner, gid_t group, mode_t mode,
                   const Attributes& attributes = {}) {
    if (!fd_) return failure("create a file beside", target_.path, error_);
    if (::fchown(fd_.get(), owner, group) != 0) {
      auto failed = failure("keep the owner of", target_.path, errno);
      failed.error().remedy = "edit it by hand, or give it to moatd's user and group";
      return failed;
    }
    if (auto kept = keep(attributes); !kept) return kept;
    if (::fchmod(fd_.get(), mode & 07777) != 0)
      return failure("keep the mode of", target_.path, errno);
    if (const int error = write_all(fd_.get(), bytes)) return failure("write", target_.path, error);
    if (durability_ == Durability::now && ::fsync(fd_.get()) != 0)
      return failure("write", target_.path, errno);
    return {};
  }

  WriteResult take_place() {
    if (::rename(path_.c_str(), place().c_str()) != 0)
      return failure("replace", target_.path, errno);
    path_.clear();
    return sync_folder();
  }

  // Takes the place of what has these rights and says `expected`. Whoever was quicker has his
  // version back where it was.
  WriteResult take_place_of(std::string_view expected, const Rights& rights) {
    if (const int error = exchange()) {
      if (error == EINVAL || error == ENOSYS) return take_place();  // this file system cannot
      if (error == ENOENT) return has_changed(target_.path);
      return failure("replace", target_.path, error);
    }
    const auto out = check_unchanged(target_.path, path_, expected);
    if (out && *out == rights) {
      ::unlink(path_.c_str());
      path_.clear();
      return sync_folder();
    }
    if (const int error = put_back()) {
      auto failed = failure("put back what somebody has just written to", target_.path, error);
      failed.error().remedy = "it is in " + shown(std::exchange(path_, {}));
      return failed;
    }
    return out ? WriteResult(has_changed(target_.path)) : std::unexpected(out.error());
  }

 private:
  [[nodiscard]] std::string place() const { return target_.at(target_.name); }

  // The path of what lies beside the target, for people.
  [[nodiscard]] std::string shown(const std::string& path) const {
    return folder_of(target_.path) + path.substr(path.rfind('/'));
  }

  // 0 or errno.
  int exchange() {
    return ::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, place().c_str(), RENAME_EXCHANGE) == 0
               ? 0
               : errno;
  }

  // Where somebody has replaced or removed even the file that was there for this moment, that
  // counts.
  int put_back() {
    int error = exchange();
    if (error == 0 && !is_at(path_)) error = exchange();
    return error == ENOENT ? 0 : error;
  }

  [[nodiscard]] bool is_at(const std::string& path) const {
    struct stat own{};
    struct stat there{};
    return ::fstat(fd_.get(), &own) == 0 && ::lstat(path.c_str(), &there) == 0 &&
           own.st_dev == there.st_dev && own.st_ino == there.st_ino;
  }

  WriteResult sync_folder() {
    if (durability_ == Durability::later) return {};
    const Fd fd(::openat(target_.folder.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd || ::fsync(fd.get()) != 0)
      return failure("write the folder", folder_of(target_.path), errno);
    return {};
  }

  // Takes away what the folder has given it (a default ACL), too.
  WriteResult keep(const Attributes& attributes) {
    const auto given = attributes_of(fd_.get());
    if (!given) return failure("read the attributes of", shown(path_), given.error());
    for (const auto& [name, value] : *given) {
      if (is_of_a_security_module(name) || attributes.contains(name)) continue;
      if (::fremovexattr(fd_.get(), name.c_str()) != 0) return not_kept(name, errno);
    }
    for (const auto& [name, value] : attributes) {
      const auto has = given->find(name);
      if (is_of_the_bytes(name) || (has != given->end() && has->second == value)) continue;
      if (::fsetxattr(fd_.get(), name.c_str(), value.data(), value.size(), 0) != 0 &&
          !is_of_a_security_module(name)) {
        return not_kept(name, errno);
      }
    }
    return {};
  }

  [[nodiscard]] WriteResult not_kept(const std::string& attribute, int error) const {
    auto failed = failure(fmt::format("keep the attribute {} of", attribute), target_.path, error);
    failed.error().remedy = "edit it by hand";
    return failed;
  }

  const Target& target_;
  const Durability durability_;
  std::string path_;
  Fd fd_;
  int error_;
};

// Whether people say that this file shall not change. Root may write to what has no write bit, so
// the bit is asked for; access() knows the rest (immutable, read-only file system, another's file).
WriteResult check_writable(const std::string& path, const Target& target,
                           const struct stat& status) {
  if (!S_ISREG(status.st_mode)) {
    return std::unexpected(WriteError{{fmt::format("{} is no regular file", path), ""}});
  }
  if ((status.st_mode & S_IWUSR) == 0) {
    return std::unexpected(
        WriteError{{fmt::format("{} is read-only (mode {:04o})", path, status.st_mode & 07777u),
                    "edit it where it comes from, or chmod u+w " + path},
                   Kind::read_only});
  }
  if (::faccessat(target.folder.get(), target.name.c_str(), W_OK, AT_EACCESS) != 0) {
    const int error = errno;
    auto failed = failure("write to", path, error);
    failed.error().remedy = remedy_for(error, target.path);
    return failed;
  }
  return {};
}

}  // namespace

WriteResult replace_file(const std::string& path, std::string_view expected_bytes,
                         std::string_view new_bytes) {
  const auto target = find_target(path, false);
  if (!target) return std::unexpected(target.error());
  const auto real = target->at(target->name);
  struct stat status{};
  if (::lstat(real.c_str(), &status) != 0) return failure("open", path, errno);
  if (auto outcome = check_writable(path, *target, status); !outcome) return outcome;
  const auto rights = check_unchanged(path, real, expected_bytes);
  if (!rights) return std::unexpected(rights.error());
  Temporary file(*target);
  if (auto outcome =
          file.fill(new_bytes, rights->owner, rights->group, rights->mode, rights->attributes);
      !outcome) {
    return outcome;
  }
  // Once more, as late as can be: the disk may have taken its time.
  const auto now = check_unchanged(path, real, expected_bytes);
  if (!now) return std::unexpected(now.error());
  if (*now != *rights) return has_changed(path);
  return file.take_place_of(expected_bytes, *rights);
}

WriteResult write_file(const std::string& path, std::string_view bytes, mode_t mode,
                       Durability durability) {
  const auto target = find_target(path, true);
  if (!target) return std::unexpected(target.error());
  struct stat status{};
  status.st_uid = ::geteuid();
  status.st_gid = ::getegid();
  status.st_mode = mode;
  if (::lstat(target->at(target->name).c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    return std::unexpected(WriteError{{fmt::format("{} is no regular file", path), ""}});
  }
  Temporary file(*target, durability);
  if (auto outcome = file.fill(bytes, status.st_uid, status.st_gid, status.st_mode); !outcome) {
    return outcome;
  }
  return file.take_place();
}

WriteResult write_among_others(const std::string& path, std::string_view bytes, mode_t mode) {
  const auto real = resolve_folder(path);
  if (!real) return std::unexpected(real.error());
  const auto target = open_target(path, *real);
  if (!target) return std::unexpected(target.error());
  Temporary file(*target, Durability::later);
  if (auto outcome = file.fill(bytes, ::geteuid(), ::getegid(), mode); !outcome) return outcome;
  return file.take_place();
}

namespace {

bool is_temporary(std::string_view name) {
  const auto mark = name.rfind(".moat-");
  return name.starts_with('.') && mark != std::string_view::npos && mark > 0 &&
         name.size() == mark + std::string_view(".moat-XXXXXX").size();
}

// Of the temporary files in `folder`, those that `is_left` says.
void remove_temporary(const std::string& folder,
                      const std::function<bool(const struct stat&)>& is_left) {
  const Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  std::error_code error;
  for (std::filesystem::directory_iterator file(folder, error), end; fd && !error && file != end;
       file.increment(error)) {
    const auto name = file->path().filename().string();
    struct stat status{};
    if (is_temporary(name) &&
        ::fstatat(fd.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && is_left(status))
      ::unlinkat(fd.get(), name.c_str(), 0);
  }
}

}  // namespace

void remove_leftovers(const std::string& folder) {
  remove_temporary(folder, [](const struct stat&) { return true; });
}

void remove_old_leftovers(const std::string& folder) {
  constexpr std::time_t hour = 3'600;
  const auto long_ago = std::time(nullptr) - hour;
  remove_temporary(folder, [long_ago](const struct stat& status) {
    return S_ISREG(status.st_mode) && status.st_uid == ::geteuid() && status.st_mtime < long_ago;
  });
}

}  // namespace moat
