// SPDX-License-Identifier: BSD-2-Clause
#include "control/os/clock.h"

#include <fmt/format.h>
#include <sys/timerfd.h>
#include <sys/timex.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <sstream>
#include <system_error>
#include <utility>

#include "dataplane/error.h"

namespace moat {
namespace {

constexpr auto offsets_path = "/proc/self/timens_offsets";

std::string first_line(const char* path) {
  std::string line;
  std::ifstream file(path);
  std::getline(file, line);
  return line;
}

// Where the kernel does not tell, not.
bool is_synchronised() {
  timex state{};
  return adjtimex(&state) >= 0 && (state.status & STA_UNSYNC) == 0;
}

std::int64_t nanoseconds(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

// Far ahead: it is there only to be cancelled.
bool arm(int fd) {
  itimerspec far{};
  far.it_value.tv_sec = std::numeric_limits<std::int32_t>::max();
  return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, nullptr) == 0;
}

}  // namespace

Result<std::chrono::nanoseconds> parse_monotonic_offset(const std::string& text) {
  std::chrono::nanoseconds offset{};
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string clock;
    std::int64_t seconds = 0;
    std::int64_t nanoseconds = 0;
    if (!(words >> clock >> seconds >> nanoseconds))
      return std::unexpected(
          Error{fmt::format("{}: not a clock with its offset: \"{}\"", offsets_path, line), ""});
    if (clock == "monotonic")
      offset = std::chrono::seconds(seconds) + std::chrono::nanoseconds(nanoseconds);
  }
  return offset;
}

Result<KernelClocks> KernelClocks::open() {
  KernelClocks clocks;
  clocks.boot_ = first_line("/proc/sys/kernel/random/boot_id");
  std::error_code no_such_namespaces;
  const auto own = std::filesystem::read_symlink("/proc/self/ns/time", no_such_namespaces);
  if (no_such_namespaces) return clocks;
  // What /proc tells is of the children's, whose clocks moatd's own are unless somebody parted them
  // and then started it without a process in between.
  if (own != std::filesystem::read_symlink("/proc/self/ns/time_for_children", no_such_namespaces))
    return std::unexpected(
        Error{"how far this process's clocks are from the kernel's cannot be told: its time "
              "namespace is not the one of its children",
              "start moatd by a process of the new time namespace: unshare -T --fork ..."});
  std::ifstream file(offsets_path);
  auto offset = parse_monotonic_offset(std::string(std::istreambuf_iterator(file), {}));
  if (!offset) return std::unexpected(std::move(offset.error()));
  clocks.offset_ = *offset;
  return clocks;
}

ClockReading KernelClocks::read() const {
  const std::int64_t before = nanoseconds(CLOCK_MONOTONIC);
  const std::int64_t wall = nanoseconds(CLOCK_REALTIME);
  const std::int64_t after = nanoseconds(CLOCK_MONOTONIC);
  const std::int64_t monotonic = before + (after - before) / 2 - offset_.count();
  return {
      {ClockPair{}.wall + std::chrono::nanoseconds(wall), static_cast<std::uint64_t>(monotonic)},
      boot_,
      is_synchronised()};
}

std::chrono::nanoseconds drift(const ClockPair& from, const ClockPair& to) {
  const std::chrono::nanoseconds monotonic(static_cast<std::int64_t>(to.monotonic) -
                                           static_cast<std::int64_t>(from.monotonic));
  return to.wall - from.wall - monotonic;
}

Result<ClockWatch> ClockWatch::open() {
  const int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
  if (fd < 0 || !arm(fd)) {
    const int cause = errno;
    if (fd >= 0) close(fd);
    return failed("watch the wall clock", cause);
  }
  return ClockWatch(fd);
}

ClockWatch::ClockWatch(ClockWatch&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
ClockWatch& ClockWatch::operator=(ClockWatch&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}
ClockWatch::~ClockWatch() {
  if (fd_ >= 0) close(fd_);
}

bool ClockWatch::drain() {
  std::uint64_t count = 0;
  const bool was_set = read(fd_, &count, sizeof count) < 0 && errno == ECANCELED;
  arm(fd_);
  return was_set;
}

}  // namespace moat
