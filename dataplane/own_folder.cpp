// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/own_folder.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "dataplane/error.h"

namespace moat {
namespace {

namespace fs = std::filesystem;

constexpr int most_symlinks = 40;  // as many as the kernel follows

std::unexpected<Error> failure(const char* doing, const fs::path& path, int error) {
  return std::unexpected(
      Error{fmt::format("{} {}: {}", doing, path.string(), errno_words(error)), {}});
}

// Without the empty part that a slash at the end makes, and from the root on.
Result<fs::path> whole(const std::string& path) {
  std::error_code error;
  fs::path absolute = fs::absolute(path, error);
  if (error) return failure("look at", path, error.value());
  return absolute.has_filename() ? absolute : absolute.parent_path();
}

Result<> check_step(const fs::path& path, const struct stat& status, bool may_be_sticky) {
  auto own = check_own(path, status);
  if (own || is_stranger(status.st_uid)) return own;
  if (S_ISLNK(status.st_mode)) return {};  // its mode means nothing
  if (may_be_sticky && (status.st_mode & S_ISVTX) != 0) return {};
  return own;
}

// The last folder is one on the way, too, unless it is `the_end`.
Result<> check_way(const fs::path& path, bool the_end, int symlinks_left) {
  fs::path at;
  for (auto part = path.begin(); part != path.end(); ++part) {
    at /= *part;
    struct stat status = {};
    if (::lstat(at.c_str(), &status) != 0) return failure("look at", at, errno);
    const bool is_end = the_end && std::next(part) == path.end();
    if (auto own = check_step(at, status, !is_end); !own) return own;
    if (!S_ISLNK(status.st_mode)) continue;
    std::error_code error;
    const fs::path target = fs::read_symlink(at, error);
    if (error) return failure("follow", at, error.value());
    if (symlinks_left == 0) return failure("follow", at, ELOOP);
    if (auto own = check_way(at.parent_path() / target, is_end, symlinks_left - 1); !own)
      return own;
  }
  return {};
}

}  // namespace

bool is_stranger(uid_t user) { return user != 0 && user != ::geteuid(); }

Result<> check_own(const std::string& path, const struct stat& status) {
  if (is_stranger(status.st_uid))
    return std::unexpected(
        Error{fmt::format("{} belongs to another user, uid {}", path, status.st_uid),
              fmt::format("if it should be Moat's: chown {} {}", ::geteuid(), path)});
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return std::unexpected(
        Error{fmt::format("{} is writable by others (mode {:04o})", path, status.st_mode & 07777u),
              fmt::format("chmod go-w {}", path)});
  return {};
}

Result<> check_folders_above(const std::string& path) {
  const auto absolute = whole(path);
  if (!absolute) return std::unexpected(absolute.error());
  return check_way(absolute->parent_path(), false, most_symlinks);
}

Result<> check_own_folder(const std::string& path) {
  const auto absolute = whole(path);
  if (!absolute) return std::unexpected(absolute.error());
  return check_way(*absolute, true, most_symlinks);
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
