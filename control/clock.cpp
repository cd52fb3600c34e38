// SPDX-License-Identifier: BSD-2-Clause
#include "control/clock.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <limits>
#include <system_error>
#include <utility>

namespace moat {
namespace {

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

ClockPair read_clocks() {
  const std::int64_t before = nanoseconds(CLOCK_MONOTONIC);
  const std::int64_t wall = nanoseconds(CLOCK_REALTIME);
  const std::int64_t after = nanoseconds(CLOCK_MONOTONIC);
  return {ClockPair{}.wall + std::chrono::nanoseconds(wall),
          static_cast<std::uint64_t>(before + (after - before) / 2)};
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
    return std::unexpected(
        Error{"watch the wall clock: " + std::generic_category().message(cause), ""});
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
