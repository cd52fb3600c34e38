// SPDX-License-Identifier: BSD-2-Clause
// What tells files, and the versions of one, apart without reading them.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>

namespace moat {

// Which file it is, whatever its name.
struct FileId {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;

  friend auto operator<=>(const FileId&, const FileId&) = default;
};

struct FileStamp {
  FileId id;
  std::uint64_t size = 0;     // bytes
  std::int64_t modified = 0;  // mtime, ns since 1970
  std::int64_t changed = 0;   // ctime, ns since 1970: when the change was written

  [[nodiscard]] std::chrono::system_clock::time_point changed_at() const {
    return std::chrono::system_clock::time_point(std::chrono::nanoseconds(changed));
  }

  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

}  // namespace moat
