// SPDX-License-Identifier: BSD-2-Clause
// What tells one version of a file from another without reading it.
#pragma once

#include <cstdint>

namespace moat {

struct FileStamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;     // bytes
  std::int64_t modified = 0;  // mtime, ns since 1970
  std::int64_t changed = 0;   // ctime, ns since 1970: when the change was written

  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

}  // namespace moat
