// SPDX-License-Identifier: BSD-2-Clause
// What a path leads to, found once and held: what has the name a moment later is another matter.
// Each symlink on the way is seen as it is followed, for whoever makes one may not be one who may
// read what it leads to.
#pragma once

#include <sys/types.h>

#include <expected>
#include <set>
#include <string>

#include "dataplane/fd.h"

namespace moat {

struct FoundFile {
  Fd object;  // O_PATH: to look at, and to open by name_of()
  bool by_symlink = false;
  std::set<uid_t> strangers;  // who made symlinks on the way; see is_stranger()
};

// `path` is relative to the folder open as `folder_fd` (AT_FDCWD: to the process's). The error is
// errno.
[[nodiscard]] std::expected<FoundFile, int> find_file(int folder_fd, const std::string& path);

// The same, but no step, be it of a symlink's target, leads out of the folder: EXDEV. As openat2's
// RESOLVE_BENEATH, which a service manager's RestrictSUIDSGID refuses with all of openat2.
[[nodiscard]] std::expected<FoundFile, int> find_beneath(int folder_fd, const std::string& path);

// A name for what the descriptor stands for, whatever has its own name by now.
[[nodiscard]] std::string name_of(int fd);

}  // namespace moat
