// SPDX-License-Identifier: BSD-2-Clause
// Wall clock and monotonic clock side by side. Expiries are written in wall time and enforced in
// monotonic time; between the two lies a distance that changes when the wall clock is set, when it
// is slewed, and when the host sleeps, as the monotonic clock stands still meanwhile.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "control/compile.h"
#include "dataplane/error.h"

namespace moat {

// All that is known of the time at one instant.
struct ClockReading {
  ClockPair now;
  std::chrono::nanoseconds boottime{};  // CLOCK_BOOTTIME: nobody sets it, and it never stands still
  std::string boot;                     // which boot it counts from
  bool is_synchronised = false;  // the wall clock, with others by NTP, as the kernel was told
};

// How far clocks of a time namespace are ahead of the kernel's own; see time_namespaces(7).
struct ClockOffsets {
  std::chrono::nanoseconds monotonic{};
  std::chrono::nanoseconds boottime{};

  friend bool operator==(const ClockOffsets&, const ClockOffsets&) = default;
};
// The text of /proc/PID/timens_offsets: a clock, seconds and nanoseconds in each line.
[[nodiscard]] Result<ClockOffsets> parse_clock_offsets(const std::string& text);

// The clocks as the kernel's programs read them, which know no time namespace.
class KernelClocks {
 public:
  // Errors: it cannot be told how far this process's clocks are from the kernel's.
  [[nodiscard]] static Result<KernelClocks> open();
  [[nodiscard]] ClockReading read() const;

 private:
  ClockOffsets offsets_;
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
