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
#include <filesystem>
#include <map>
#include <memory>
#include <system_error>
#include <utility>

#include "control/os/file_io.h"
#include "dataplane/fd.h"

namespace moat {
namespace {

using WriteResult = std::expected<void, WriteError>;
using Kind = WriteError::Kind;

std::string remedy_for(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "make room on the file system";
    case EROFS:
      return "mount the file system writable";
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
  return std::unexpected(WriteError{{describe_errno(doing, path, error), remedy_for(error)}, kind});
}

std::unexpected<WriteError> has_changed(const std::string& path) {
  return std::unexpected(WriteError{
      {fmt::format("{} has changed meanwhile", path), "look at it, and try again"}, Kind::changed});
}

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// The file that `path` leads to. A new file is `path` itself.
std::expected<std::string, WriteError> resolve_links(const std::string& path, bool may_be_new) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr),
                                                         &std::free);
  if (real) return std::string(real.get());
  const int error = errno;
  struct stat link{};
  const bool is_there = ::lstat(path.c_str(), &link) == 0;
  if (may_be_new && error == ENOENT && !is_there) return path;
  return failure(is_there ? "follow the symlink" : "open", path, error);
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
  const Fd fd(::open(real.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
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
        {fmt::format("somebody has {} open for writing", path), "try again"}, Kind::changed});
  }
  return Rights{status.st_uid, status.st_gid, status.st_mode, std::move(*attributes)};
}

// A file beside the real one, removed again unless it takes its place.
class Temporary {
 public:
  explicit Temporary(const std::string& target)
      : target_(target),
        path_(fmt::format("{}/.{}.moat-XXXXXX", folder_of(target),
                          target.substr(target.rfind('/') + 1))),
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
    if (!fd_) return failure("create a file beside", target_, error_);
    if (::fchown(fd_.get(), owner, group) != 0) {
      auto failed = failure("keep the owner of", target_, errno);
      failed.error().remedy = "edit it by hand, or give it to moatd's user and group";
      return failed;
    }
    if (auto kept = keep(attributes); !kept) return kept;
    if (::fchmod(fd_.get(), mode & 07777) != 0) return failure("keep the mode of", target_, errno);
    if (const int error = write_all(fd_.get(), bytes)) return failure("write", target_, error);
    if (::fsync(fd_.get()) != 0) return failure("write", target_, errno);
    return {};
  }

  WriteResult take_place() {
    if (::rename(path_.c_str(), target_.c_str()) != 0) return failure("replace", target_, errno);
    path_.clear();
    return sync_folder();
  }

  // Takes the place of what has these rights and says `expected`. Whoever was quicker has his
  // version back where it was.
  WriteResult take_place_of(std::string_view expected, const Rights& rights) {
    if (const int error = exchange()) {
      if (error == EINVAL || error == ENOSYS) return take_place();  // this file system cannot
      if (error == ENOENT) return has_changed(target_);
      return failure("replace", target_, error);
    }
    const auto out = check_unchanged(target_, path_, expected);
    if (out && *out == rights) {
      ::unlink(path_.c_str());
      path_.clear();
      return sync_folder();
    }
    if (const int error = put_back()) {
      auto failed = failure("put back what somebody has just written to", target_, error);
      failed.error().remedy = "it is in " + std::exchange(path_, {});
      return failed;
    }
    return out ? WriteResult(has_changed(target_)) : std::unexpected(out.error());
  }

 private:
  // 0 or errno.
  int exchange() {
    return ::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, target_.c_str(), RENAME_EXCHANGE) == 0
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
    const auto folder = folder_of(target_);
    const Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd || ::fsync(fd.get()) != 0) return failure("write the folder", folder, errno);
    return {};
  }

  // Takes away what the folder has given it (a default ACL), too.
  WriteResult keep(const Attributes& attributes) {
    const auto given = attributes_of(fd_.get());
    if (!given) return failure("read the attributes of", path_, given.error());
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
    auto failed = failure(fmt::format("keep the attribute {} of", attribute), target_, error);
    failed.error().remedy = "edit it by hand";
    return failed;
  }

  std::string target_;
  std::string path_;
  Fd fd_;
  int error_;
};

// Whether people say that this file shall not change. Root may write to what has no write bit, so
// the bit is asked for; access() knows the rest (immutable, read-only file system, another's file).
WriteResult check_writable(const std::string& path, const std::string& real,
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
  if (::faccessat(AT_FDCWD, real.c_str(), W_OK, AT_EACCESS) != 0) {
    return failure("write to", path, errno);
  }
  return {};
}

}  // namespace

WriteResult replace_file(const std::string& path, std::string_view expected_bytes,
                         std::string_view new_bytes) {
  const auto real = resolve_links(path, false);
  if (!real) return std::unexpected(real.error());
  struct stat status{};
  if (::stat(real->c_str(), &status) != 0) return failure("open", path, errno);
  if (auto outcome = check_writable(path, *real, status); !outcome) return outcome;
  const auto rights = check_unchanged(path, *real, expected_bytes);
  if (!rights) return std::unexpected(rights.error());
  Temporary file(*real);
  if (auto outcome =
          file.fill(new_bytes, rights->owner, rights->group, rights->mode, rights->attributes);
      !outcome) {
    return outcome;
  }
  // Once more, as late as can be: the disk may have taken its time.
  const auto now = check_unchanged(path, *real, expected_bytes);
  if (!now) return std::unexpected(now.error());
  if (*now != *rights) return has_changed(path);
  return file.take_place_of(expected_bytes, *rights);
}

WriteResult write_file(const std::string& path, std::string_view bytes, mode_t mode) {
  const auto real = resolve_links(path, true);
  if (!real) return std::unexpected(real.error());
  struct stat status{};
  status.st_uid = ::geteuid();
  status.st_gid = ::getegid();
  status.st_mode = mode;
  if (::stat(real->c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    return std::unexpected(WriteError{{fmt::format("{} is no regular file", path), ""}});
  }
  Temporary file(*real);
  if (auto outcome = file.fill(bytes, status.st_uid, status.st_gid, status.st_mode); !outcome) {
    return outcome;
  }
  return file.take_place();
}

void remove_leftovers(const std::string& folder) {
  std::error_code error;
  for (std::filesystem::directory_iterator file(folder, error), end; !error && file != end;
       file.increment(error)) {
    const auto name = file->path().filename().string();
    const auto mark = name.rfind(".moat-");
    const bool is_ours = name.starts_with('.') && mark != std::string::npos && mark > 0 &&
                         name.size() == mark + std::string_view(".moat-XXXXXX").size();
    std::error_code ignored;
    if (is_ours) std::filesystem::remove(file->path(), ignored);
  }
}

}  // namespace moat
