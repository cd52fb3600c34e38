// SPDX-License-Identifier: BSD-2-Clause
// A writer who maps the file: on tmpfs no time stamp tells of what he writes. He has it open until
// this ends.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <string>
#include <string_view>

namespace moat {

inline constexpr const char* tmpfs = "/dev/shm/";

inline bool is_on_tmpfs(const std::string& path) {
  struct statfs status{};
  return ::statfs(path.c_str(), &status) == 0 && status.f_type == TMPFS_MAGIC;
}

class SharedMapping {
 public:
  explicit SharedMapping(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    struct stat status{};
    EXPECT_EQ(::fstat(fd, &status), 0) << path;
    size_ = static_cast<std::size_t>(status.st_size);
    bytes_ = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    EXPECT_NE(bytes_, MAP_FAILED) << path;
    ::close(fd);  // the mapping keeps it open
  }
  SharedMapping(const SharedMapping&) = delete;
  SharedMapping& operator=(const SharedMapping&) = delete;
  ~SharedMapping() { ::munmap(bytes_, size_); }

  // Both of one length.
  void replace(std::string_view old, std::string_view by) const {
    const std::string_view text(static_cast<const char*>(bytes_), size_);
    const auto at = text.find(old);
    ASSERT_NE(at, std::string_view::npos);
    ASSERT_EQ(old.size(), by.size());
    by.copy(static_cast<char*>(bytes_) + at, by.size());
  }

 private:
  std::size_t size_ = 0;
  void* bytes_ = nullptr;
};

}  // namespace moat
