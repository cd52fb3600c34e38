// SPDX-License-Identifier: BSD-2-Clause
// Wall clock and monotonic clock side by side. Expiries are written in wall time and enforced in
// monotonic time; between the two lies a distance that changes when the wall clock is set, when it
// is slewed, and when the host sleeps, as the monotonic clock stands still meanwhile.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>

#include "dataplane/error.h"

namespace moat {

// One instant on both clocks.
struct ClockPair {
  std::chrono::sys_time<std::chrono::nanoseconds> wall;
  std::uint64_t monotonic = 0;  // CLOCK_MONOTONIC, ns
};

// Times that can be said in nanoseconds since 1970 lie between these, with days to spare for sums;
// the 64 bits end in April 2262.
inline constexpr std::chrono::sys_seconds kFirstInNs =
    std::chrono::sys_days(std::chrono::year(1678) / 1 / 1);
inline constexpr std::chrono::sys_seconds kLastInNs =
    std::chrono::sys_days(std::chrono::year(2262) / 1 / 1);

// The same time, or the nearest that can be said.
[[nodiscard]] constexpr std::chrono::sys_time<std::chrono::nanoseconds> in_ns(
    std::chrono::sys_seconds time) {
  return std::clamp(time, kFirstInNs, kLastInNs);
}

// All that is known of the time at one instant.
struct ClockReading {
  ClockPair now;
  std::string boot;              // which boot the monotonic clock counts from
  bool is_synchronised = false;  // the wall clock, with others by NTP, as the kernel was told
};

// How far CLOCK_MONOTONIC of a time namespace is ahead of the kernel's own, by the text of
// /proc/PID/timens_offsets: a clock, seconds and nanoseconds in each line. See time_namespaces(7).
[[nodiscard]] Result<std::chrono::nanoseconds> parse_monotonic_offset(const std::string& text);

// The clocks as the kernel's programs read them, which know no time namespace.
class KernelClocks {
 public:
  // Errors: it cannot be told how far this process's clocks are from the kernel's.
  [[nodiscard]] static Result<KernelClocks> open();
  [[nodiscard]] ClockReading read() const;

 private:
  std::chrono::nanoseconds offset_{};  // of CLOCK_MONOTONIC here, ahead of the kernel's
  std::string boot_;
};

// How much further the wall clock has gone than the monotonic one between two readings.
[[nodiscard]] std::chrono::nanoseconds drift(const ClockPair& from, const ClockPair& to);

// Says when the wall clock is set or the host resumes.
class ClockWatch {
 public:
  [[nodiscard]] static Result<ClockWatch> open();
  ClockWatch(const ClockWatch&) = delete;
  ClockWatch& operator=(const ClockWatch&) = delete;
  ClockWatch(ClockWatch&& other) noexcept;
  ClockWatch& operator=(ClockWatch&& other) noexcept;
  ~ClockWatch();

  // Readable when it happens.
  [[nodiscard]] int fd() const { return fd_; }
  // Takes note, and waits for the next time. True if the clock was set.
  bool drain();

 private:
  explicit ClockWatch(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace moat
