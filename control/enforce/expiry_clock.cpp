// SPDX-License-Identifier: BSD-2-Clause
#include "control/enforce/expiry_clock.h"

#include <algorithm>

namespace moat {
namespace {

using std::chrono::nanoseconds;

nanoseconds wall_of(const ClockReading& reading) { return reading.now.wall.time_since_epoch(); }

nanoseconds monotonic_of(const ClockReading& reading) {
  return nanoseconds(static_cast<std::int64_t>(reading.now.monotonic));
}

WallTime wall_seconds(const ClockReading& reading) {
  return std::chrono::floor<std::chrono::seconds>(reading.now.wall);
}

}  // namespace

// What was kept may say anything.
ExpiryClock::ExpiryClock(LatestTime latest) : latest_(std::move(latest)) {
  latest_.time = std::clamp(latest_.time, WallTime{}, kLastInNs);
  latest_.monotonic =
      std::clamp(latest_.monotonic, nanoseconds(0), nanoseconds(kLastInNs.time_since_epoch()));
}

WallTime ExpiryClock::now(const ClockReading& reading) const {
  return std::max(wall_seconds(reading), latest_.time);
}

bool ExpiryClock::observe(const ClockReading& reading) {
  const auto before = latest_;
  follow_course(reading);
  if (!has_begun_) begin(reading);
  standing_ = judge(reading);
  const bool has_lasted = standing_.left && *standing_.left <= nanoseconds(0);
  const bool goes_on = standing_.course == Course::believed && wall_seconds(reading) > latest_.time;
  if (has_lasted || goes_on) {
    believe(reading);
  } else if (standing_.course == Course::ahead) {
    go_on(reading);
  }
  return latest_ != before;
}

// What passed between two daemons is vouched for within one boot.
void ExpiryClock::begin(const ClockReading& reading) {
  has_begun_ = true;
  if (latest_.time == WallTime{}) {
    believe(reading);
  } else if (latest_.boot == reading.boot) {
    go_on(reading);
  } else {
    latest_ = {latest_.time, reading.boot, monotonic_of(reading)};
  }
}

void ExpiryClock::confirm(const ClockReading& reading) {
  has_begun_ = true;
  follow_course(reading);
  believe(reading);
}

void ExpiryClock::follow_course(const ClockReading& reading) {
  const auto distance = wall_of(reading) - monotonic_of(reading);
  if (!distance_ || std::chrono::abs(distance - *distance_) > kSmallStep) {
    begun_ = monotonic_of(reading);
    synchronised_.reset();
  }
  distance_ = distance;
  if (!reading.is_synchronised) {
    synchronised_.reset();
  } else if (!synchronised_) {
    synchronised_ = monotonic_of(reading);
  }
}

ExpiryClock::Standing ExpiryClock::judge(const ClockReading& reading) const {
  const auto latest = latest_.time.time_since_epoch();
  const auto elapsed = monotonic_of(reading) - latest_.monotonic;
  if (wall_of(reading) > latest + elapsed + kSmallStep)
    return {Course::ahead, begun_ + kAheadLasts - monotonic_of(reading)};
  if (wall_of(reading) >= latest - kSmallStep) return {};
  if (!synchronised_) return {Course::back, std::nullopt};
  return {Course::back, *synchronised_ + kBackLasts - monotonic_of(reading)};
}

void ExpiryClock::believe(const ClockReading& reading) {
  const auto time = wall_seconds(reading);
  latest_ = {time, reading.boot, monotonic_of(reading) - (reading.now.wall - time)};
  standing_ = {};
}

// Of the time that has passed by the monotonic clock there is no doubt.
void ExpiryClock::go_on(const ClockReading& reading) {
  const auto passed =
      std::chrono::floor<std::chrono::seconds>(monotonic_of(reading) - latest_.monotonic);
  latest_.time += passed;
  latest_.monotonic += passed;
}

}  // namespace moat
