// SPDX-License-Identifier: BSD-2-Clause
// Wall clock and monotonic clock side by side. Expiries are written in wall time and enforced in
// monotonic time; between the two lies a distance that changes when the wall clock is set, when it
// is slewed, and when the host sleeps, as the monotonic clock stands still meanwhile.
#pragma once

#include <chrono>
#include <cstdint>

#include "control/compile.h"
#include "dataplane/error.h"

namespace moat {

[[nodiscard]] ClockPair read_clocks();

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
