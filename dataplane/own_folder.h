// SPDX-License-Identifier: BSD-2-Clause
// Whether a folder, or a file in it, can be changed only by whom Moat trusts: root, and the user
// that this process runs as. Everybody else is a stranger.
//
// What a path leads to stays what it is only if no stranger can put something else in its place, so
// every folder on the way counts. One with the sticky bit (/tmp, a bpf filesystem that was mounted
// without a mode) may be writable for all: what root has in it, nobody else moves or removes.
#pragma once

#include <sys/stat.h>

#include <string>

#include "dataplane/error.h"

namespace moat {

[[nodiscard]] bool is_stranger(uid_t user);

// Error: `path`, which has this status, belongs to a stranger, or group or others may write to it.
[[nodiscard]] Result<> check_own(const std::string& path, const struct stat& status);

// Error: a stranger could replace what has that path. Symlinks are followed, and checked as well.
// What has the path need not exist; the folders above it must.
[[nodiscard]] Result<> check_folders_above(const std::string& path);

// The same, and the folder itself is no stranger's to write to.
[[nodiscard]] Result<> check_own_folder(const std::string& path);

// For files that people write, who may leave them to a group, or to a user (`delegate`). Error: a
// user who is neither that one nor Moat's, or everybody, could replace what has that path. Symlinks
// are followed, and checked as well; owner and mode of what is at the end are not.
[[nodiscard]] Result<> check_way_to(const std::string& path, uid_t delegate = 0);

// Makes the folder, and those above it, where they are missing, with that mode; then checks it.
[[nodiscard]] Result<> make_own_folder(const std::string& path, mode_t mode);

}  // namespace moat
