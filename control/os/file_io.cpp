// SPDX-License-Identifier: BSD-2-Clause
#include "control/os/file_io.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "control/os/clock.h"
#include "dataplane/error.h"

namespace moat {

std::string describe_errno(std::string_view doing, const std::string& path, int error) {
  return fmt::format("{} {}: {}", doing, path, errno_words(error));
}

std::expected<std::string, int> read_to_end(int fd, std::size_t limit) {
  struct stat status{};
  const bool has_size = ::fstat(fd, &status) == 0 && status.st_size > 0;
  const auto expected = has_size ? static_cast<std::size_t>(status.st_size) : 0;
  // One byte of room past the end, so that the read that finds the end needs no more memory.
  std::string bytes(std::min(expected, limit) + 1, '\0');
  std::size_t size = 0;
  while (size <= limit) {
    if (size == bytes.size()) bytes.resize(std::min(2 * size, limit + 1));
    const auto got = ::read(fd, bytes.data() + size, bytes.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::unexpected(errno);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  bytes.resize(size);
  return bytes;
}

int write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto put = ::write(fd, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return errno;
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return 0;
}

std::string how_to_find_writer(const std::string& path) {
  return fmt::format("try again once it is closed; to see who has it open: fuser -v {}", path);
}

std::optional<bool> has_writer(int fd) {
  [[maybe_unused]] static const auto before = std::signal(SIGIO, SIG_IGN);
  // A read lease is granted while nobody writes. Whoever opens the file for writing while it is
  // held waits until it is given back, which is at once.
  if (::fcntl(fd, F_SETLEASE, F_RDLCK) != 0) {
    return errno == EAGAIN ? std::optional(true) : std::nullopt;
  }
  ::fcntl(fd, F_SETLEASE, F_UNLCK);
  return false;
}

FileStamp stamp_of(const struct stat& status) {
  // Anybody may date a file to any year.
  const auto ns = [](const timespec& time) {
    const std::chrono::sys_seconds seconds{std::chrono::seconds(time.tv_sec)};
    return in_ns(seconds).time_since_epoch().count() + time.tv_nsec;
  };
  return {{status.st_dev, status.st_ino},
          static_cast<std::uint64_t>(status.st_size),
          ns(status.st_mtim),
          ns(status.st_ctim)};
}

}  // namespace moat
