// SPDX-License-Identifier: BSD-2-Clause
// The hit counters, and whom their counts belong to: a rule's hits, and its database's total when
// the rule is gone. What has to last is in the state: `slots`, `retired`, `last_hits`,
// `counted_since`.
#pragma once

#include <vector>

#include "control/state/state.h"
#include "dataplane/backend.h"
#include "dataplane/error.h"

namespace moat {

class CounterAccounts {
 public:
  // Both must outlive this.
  CounterAccounts(Backend& backend, State& state) : backend_(backend), state_(state) {}

  // Before a commit: adds the counts of slots that are needed at once to where they belong, before
  // their new owners count on them.
  [[nodiscard]] Result<> fold_needed(const Assignment& assignment);

  // After a commit, when nobody counts on freed slots any more. What does not succeed is left for
  // the next time. The counters are cleared by sweep() once the state is on disk: a crash in
  // between leaves counts on a slot that nobody has, which the next daemon sweeps.
  void fold_freed();

  // Clears the counters of slots that nobody has.
  void sweep();

  // Reads all counters; rules with new hits get `now` as their last hit, and new rules as the time
  // since when they are counted. True if there are any.
  [[nodiscard]] Result<bool> sample(WallTime now);

  // As last sampled; MOAT_COUNTER_SLOTS of them, or none before that.
  [[nodiscard]] const std::vector<moat_counter>& counters() const { return counters_; }

 private:
  Backend& backend_;
  State& state_;
  bool has_leftovers_ = true;  // counters that nobody counts on may be other than zero
  std::vector<moat_counter> counters_;
};

}  // namespace moat
