// SPDX-License-Identifier: BSD-2-Clause
#include "control/expiry_clock.h"

#include <algorithm>

namespace moat {
namespace {

using std::chrono::nanoseconds;

nanoseconds wall_of(const ClockReading& reading) { return reading.now.wall.time_since_epoch(); }

WallTime wall_seconds(const ClockReading& reading) {
  return std::chrono::floor<std::chrono::seconds>(reading.now.wall);
}

}  // namespace

WallTime ExpiryClock::now(const ClockReading& reading) const {
  return std::max(wall_seconds(reading), latest_.time);
}

bool ExpiryClock::observe(const ClockReading& reading) {
  const auto before = latest_;
  follow_course(reading);
  if (!has_begun_) begin(reading);
  standing_ = judge(reading);
  if (standing_.left && *standing_.left <= nanoseconds(0)) {
    believe(reading);
  } else if (standing_.course == Course::ahead) {
    go_on(reading);
  } else if (standing_.course == Course::believed && wall_seconds(reading) > latest_.time) {
    believe(reading);
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
    latest_ = {latest_.time, reading.boot, reading.boottime};
  }
}

void ExpiryClock::confirm(const ClockReading& reading) {
  has_begun_ = true;
  follow_course(reading);
  believe(reading);
}

void ExpiryClock::follow_course(const ClockReading& reading) {
  const auto distance = wall_of(reading) - reading.boottime;
  if (!distance_ || std::chrono::abs(distance - *distance_) > kSmallStep) {
    begun_ = reading.boottime;
    synchronised_.reset();
  }
  distance_ = distance;
  if (!reading.is_synchronised) {
    synchronised_.reset();
  } else if (!synchronised_) {
    synchronised_ = reading.boottime;
  }
}

ExpiryClock::Standing ExpiryClock::judge(const ClockReading& reading) const {
  const auto latest = latest_.time.time_since_epoch();
  const auto elapsed = reading.boottime - latest_.boottime;
  if (wall_of(reading) > latest + elapsed + kSmallStep)
    return {Course::ahead, begun_ + kAheadLasts - reading.boottime};
  if (wall_of(reading) >= latest - kSmallStep) return {};
  if (!synchronised_) return {Course::back, std::nullopt};
  return {Course::back, *synchronised_ + kBackLasts - reading.boottime};
}

void ExpiryClock::believe(const ClockReading& reading) {
  const auto time = wall_seconds(reading);
  latest_ = {time, reading.boot, reading.boottime - (reading.now.wall - time)};
  standing_ = {};
}

// Of the time that has passed by the boot clock there is no doubt.
void ExpiryClock::go_on(const ClockReading& reading) {
  const auto passed = std::chrono::floor<std::chrono::seconds>(reading.boottime - latest_.boottime);
  latest_.time += passed;
  latest_.boottime += passed;
}

}  // namespace moat
