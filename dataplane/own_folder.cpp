// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/own_folder.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <functional>
#include <system_error>

#include "dataplane/error.h"

namespace moat {
namespace {

namespace fs = std::filesystem;

constexpr int max_symlinks = 40;  // as many as the kernel follows

std::unexpected<Error> failure(const char* doing, const fs::path& path, int error) {
  return failed(fmt::format("{} {}", doing, path.string()), error);
}

// Without the empty part that a slash at the end makes, and from the root on.
Result<fs::path> whole(const std::string& path) {
  std::error_code error;
  fs::path absolute = fs::absolute(path, error);
  if (error) return failure("look at", path, error.value());
  return absolute.has_filename() ? absolute : absolute.parent_path();
}

std::unexpected<Error> writable_by_others(const std::string& path, mode_t mode, const char* whose) {
  return std::unexpected(
      Error{fmt::format("{} is writable by others (mode {:04o})", path, mode & 07777u),
            fmt::format("chmod {}-w {}", whose, path)});
}

Result<> check_owner(const std::string& path, uid_t owner) {
  if (!is_stranger(owner)) return {};
  return std::unexpected(
      Error{fmt::format("{} belongs to another user, uid {}", path, owner),
            fmt::format("if it should be Moat's: chown {} {}", ::geteuid(), path)});
}

// Whether nobody but its owner can move or remove what others have in it.
bool is_sticky(const struct stat& status) { return (status.st_mode & S_ISVTX) != 0; }

// What may be on a way, and at its end.
using CheckStep = std::function<Result<>(const fs::path& path, const struct stat&, bool is_end)>;

// Of a way that belongs to Moat alone. The last folder is one on the way, too, unless it is
// `the_end`.
CheckStep own_way(bool the_end) {
  return [the_end](const fs::path& path, const struct stat& status, bool is_end) -> Result<> {
    if (auto own = check_owner(path, status.st_uid); !own) return own;
    if (S_ISLNK(status.st_mode)) return {};  // its mode means nothing
    if (is_sticky(status) && !(the_end && is_end)) return {};
    return check_own(path, status);
  };
}

CheckStep way_of_people(uid_t delegate) {
  return [delegate](const fs::path& path, const struct stat& status, bool is_end) -> Result<> {
    const bool is_link = S_ISLNK(status.st_mode);
    if (is_end && !is_link) return {};
    if (status.st_uid != delegate) {
      if (auto own = check_owner(path, status.st_uid); !own) return own;
    }
    if (is_link || is_sticky(status) || (status.st_mode & S_IWOTH) == 0) return {};
    return writable_by_others(path, status.st_mode, "o");
  };
}

Result<> check_way(const fs::path& path, const CheckStep& check, bool ends, int symlinks_left) {
  fs::path at;
  for (auto part = path.begin(); part != path.end(); ++part) {
    at /= *part;
    struct stat status = {};
    if (::lstat(at.c_str(), &status) != 0) return failure("look at", at, errno);
    const bool is_end = ends && std::next(part) == path.end();
    if (auto checked = check(at, status, is_end); !checked) return checked;
    if (!S_ISLNK(status.st_mode)) continue;
    std::error_code error;
    const fs::path target = fs::read_symlink(at, error);
    if (error) return failure("follow", at, error.value());
    if (symlinks_left == 0) return failure("follow", at, ELOOP);
    if (auto checked = check_way(at.parent_path() / target, check, is_end, symlinks_left - 1);
        !checked)
      return checked;
  }
  return {};
}

}  // namespace

bool is_stranger(uid_t user) { return user != 0 && user != ::geteuid(); }

Result<> check_own(const std::string& path, const struct stat& status) {
  if (auto own = check_owner(path, status.st_uid); !own) return own;
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return writable_by_others(path, status.st_mode, "go");
  return {};
}

Result<> check_folders_above(const std::string& path) {
  const auto absolute = whole(path);
  if (!absolute) return std::unexpected(absolute.error());
  return check_way(absolute->parent_path(), own_way(false), true, max_symlinks);
}

Result<> check_own_folder(const std::string& path) {
  const auto absolute = whole(path);
  if (!absolute) return std::unexpected(absolute.error());
  return check_way(*absolute, own_way(true), true, max_symlinks);
}

Result<> check_way_to(const std::string& path, uid_t delegate) {
  const auto absolute = whole(path);
  if (!absolute) return std::unexpected(absolute.error());
  return check_way(*absolute, way_of_people(delegate), true, max_symlinks);
}

Result<> make_own_folder(const std::string& path, mode_t mode) {
  const auto absolute = whole(path);
  if (!absolute) return std::unexpected(absolute.error());
  fs::path at;
  for (const auto& part : *absolute) {
    at /= part;
    // A folder that is there may be on a filesystem that would refuse one that is not.
    struct stat status = {};
    if (::stat(at.c_str(), &status) == 0) continue;
    if (::mkdir(at.c_str(), mode) != 0 && errno != EEXIST) return failure("create", at, errno);
  }
  return check_own_folder(*absolute);
}

}  // namespace moat
