// SPDX-License-Identifier: BSD-2-Clause
// By which time rules have expired, where the wall clock cannot always be believed.
//
// A clock set back must not revive what has expired, and a clock that was once ahead, for a second
// or by a broken RTC, must not end for good what has not. So the latest time that is known to have
// come is kept, on disk as well, and it follows the wall clock by what the monotonic clock, which
// nobody sets, can vouch for:
//
//   the wall clock       rules have expired by    and the latest time
//   goes on              the wall clock           follows it
//   jumps ahead          the wall clock           goes on as if it had not jumped; follows once
//                                                 the wall clock has kept its course for
//                                                 kAheadLasts
//   is set back          the latest time          stays, until the wall clock has kept its course
//                                                 for kBackLasts, NTP-synchronised all the while,
//                                                 or somebody confirms it: then it goes back, too
//
// How long the host was off or asleep, only its RTC says: the monotonic clock stands still, so a
// clock that is later after that has jumped. The first time of all is believed as it is. The flag
// of synchronisation alone proves nothing: it stays up for hours after the last answer of a server,
// whatever happens to the clock.
#pragma once

#include <optional>

#include "control/os/clock.h"
#include "control/state/state.h"

namespace moat {

inline constexpr std::chrono::minutes kAheadLasts{10};
inline constexpr std::chrono::minutes kBackLasts{60};
// A correction of no more is no jump.
inline constexpr std::chrono::seconds kSmallStep{1};

class ExpiryClock {
 public:
  explicit ExpiryClock(LatestTime latest);

  // Takes a reading into account; to be called every few seconds. True if latest() has changed.
  bool observe(const ClockReading& reading);

  // Somebody says that the wall clock is right.
  void confirm(const ClockReading& reading);

  // Rules that expire by then have expired.
  [[nodiscard]] WallTime now(const ClockReading& reading) const;

  [[nodiscard]] const LatestTime& latest() const { return latest_; }

  enum class Course { believed, ahead, back };
  struct Standing {
    Course course = Course::believed;
    // Until the clock is believed by itself. Nothing: not while it is not synchronised.
    std::optional<std::chrono::nanoseconds> left;
  };
  // As of the last reading observed.
  [[nodiscard]] const Standing& standing() const { return standing_; }

 private:
  void begin(const ClockReading& reading);
  void follow_course(const ClockReading& reading);
  [[nodiscard]] Standing judge(const ClockReading& reading) const;
  void believe(const ClockReading& reading);
  void go_on(const ClockReading& reading);

  bool has_begun_ = false;
  LatestTime latest_;
  Standing standing_;
  // The distance from monotonic clock to wall clock that has held since `begun_`, and since when
  // the wall clock has been synchronised at it. On the monotonic clock.
  std::optional<std::chrono::nanoseconds> distance_;
  std::chrono::nanoseconds begun_{};
  std::optional<std::chrono::nanoseconds> synchronised_;
};

}  // namespace moat
