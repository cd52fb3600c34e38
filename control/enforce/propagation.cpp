// SPDX-License-Identifier: BSD-2-Clause
#include "control/enforce/propagation.h"

#include <algorithm>

namespace moat {

void PropagationTimes::add(double seconds) {
  const auto bucket = std::ranges::lower_bound(bounds, seconds) - bounds.begin();
  ++counts[static_cast<std::size_t>(bucket)];
  sum += seconds;
}

void PropagationTracker::notice(const std::string& path, Time written, Time noticed) {
  pending_.try_emplace(path, Propagation{path, written, noticed, std::nullopt, 0, false});
}

void PropagationTracker::drop(const std::string& path) { pending_.erase(path); }

void PropagationTracker::enforced(std::uint64_t generation, Time now) {
  for (auto& [path, change] : pending_) {
    change.enforced = now;
    change.generation = generation;
    change.overdue |= now - change.written > bound_;
    times_.add(std::max(0.0, std::chrono::duration<double>(now - change.written).count()));
    // Of several at once, the one that took longest tells most.
    if (!last_ || last_->generation != generation || last_->enforced != now ||
        change.written < last_->written) {
      last_ = change;
    }
  }
  pending_.clear();
}

std::vector<Propagation> PropagationTracker::mark_overdue(Time now) {
  std::vector<Propagation> fresh;
  for (auto& [path, change] : pending_) {
    if (change.overdue || now - change.written <= bound_) continue;
    change.overdue = true;
    fresh.push_back(change);
  }
  return fresh;
}

std::optional<PropagationTracker::Time> PropagationTracker::next_deadline() const {
  std::optional<Time> next;
  for (const auto& [path, change] : pending_) {
    if (change.overdue) continue;
    const auto deadline = change.written + bound_;
    if (!next || deadline < *next) next = deadline;
  }
  return next;
}

std::vector<Propagation> PropagationTracker::pending() const {
  std::vector<Propagation> out;
  for (const auto& [path, change] : pending_) out.push_back(change);
  return out;
}

}  // namespace moat
