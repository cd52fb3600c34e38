// SPDX-License-Identifier: BSD-2-Clause
// What Moat does with open files.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "control/os/file_stamp.h"

namespace moat {

// "open /etc/x: No such file or directory", for the value of errno given.
[[nodiscard]] std::string describe_errno(std::string_view doing, const std::string& path,
                                         int error);

// From where the descriptor stands to the end, `limit` bytes and one more at most; or errno.
[[nodiscard]] std::expected<std::string, int> read_to_end(int fd, std::size_t limit);

// All of `bytes`; 0 or errno.
[[nodiscard]] int write_all(int fd, std::string_view bytes);

// What to do about a file that somebody has open for writing.
[[nodiscard]] std::string how_to_find_writer(const std::string& path);

// Whether somebody has the file open for writing. Nothing where the kernel does not tell, which it
// does to the file's owner on file systems that have leases. `fd` must be open for reading only.
// Has the process ignore SIGIO, which is how the kernel would tell of whoever opens the file
// meanwhile.
[[nodiscard]] std::optional<bool> has_writer(int fd);

[[nodiscard]] FileStamp stamp_of(const struct stat& status);

}  // namespace moat
