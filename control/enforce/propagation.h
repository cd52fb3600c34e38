// SPDX-License-Identifier: BSD-2-Clause
// Keeps track of how far each change of a file has come: written, noticed, enforced.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace moat {

// How far a change of a file has come. Times are wall clock; nothing: not there yet.
struct Propagation {
  std::string path;  // the file, or "" for a change that came with none (expiry, clock)
  std::chrono::system_clock::time_point written;  // the file's ctime
  std::chrono::system_clock::time_point noticed;
  std::optional<std::chrono::system_clock::time_point> enforced;
  std::uint64_t generation = 0;  // that enforces it
  bool overdue = false;          // not enforced within the bound
};

// How long changes took from being written to being enforced, since the daemon's start.
struct PropagationTimes {
  static constexpr std::array<double, 10> bounds{0.01, 0.025, 0.05, 0.1, 0.25,
                                                 0.5,  1,     5,    30,  120};  // seconds
  std::array<std::uint64_t, bounds.size() + 1> counts{};  // up to each bound, and over the last
  double sum = 0;                                         // seconds

  void add(double seconds);
};

class PropagationTracker {
 public:
  using Time = std::chrono::system_clock::time_point;

  // How long a change may take.
  void set_bound(std::chrono::milliseconds bound) { bound_ = bound; }

  // A file was seen to have changed. One that is pending already keeps the time at which it was
  // first written: that change is not enforced either.
  void notice(const std::string& path, Time written, Time noticed);

  // What waits for this file is no change to enforce: the file is held back, or gone.
  void drop(const std::string& path);

  // All that is pending is in force now.
  void enforced(std::uint64_t generation, Time now);

  // Marks what has taken too long, and gives those that were not marked before.
  [[nodiscard]] std::vector<Propagation> mark_overdue(Time now);

  // When the next one will be overdue.
  [[nodiscard]] std::optional<Time> next_deadline() const;

  [[nodiscard]] const std::optional<Propagation>& last() const { return last_; }
  [[nodiscard]] std::vector<Propagation> pending() const;
  [[nodiscard]] const PropagationTimes& times() const { return times_; }

 private:
  std::chrono::milliseconds bound_{120'000};
  std::map<std::string, Propagation> pending_;  // by path
  std::optional<Propagation> last_;
  PropagationTimes times_;
};

}  // namespace moat
