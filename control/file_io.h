// SPDX-License-Identifier: BSD-2-Clause
// The little that Moat needs of file descriptors.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

#include "control/file_stamp.h"

namespace moat {

// Owns a file descriptor; -1 is none.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor();

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] explicit operator bool() const { return fd_ >= 0; }
  // Gives it away.
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

// "open /etc/x: No such file or directory", for the value of errno given.
[[nodiscard]] std::string describe_errno(std::string_view doing, const std::string& path,
                                         int error);

// From where the descriptor stands to the end, `limit` bytes and one more at most; or errno.
[[nodiscard]] std::expected<std::string, int> read_to_end(int fd, std::size_t limit);

// All of `bytes`; 0 or errno.
[[nodiscard]] int write_all(int fd, std::string_view bytes);

[[nodiscard]] FileStamp stamp_of(const struct stat& status);

}  // namespace moat
