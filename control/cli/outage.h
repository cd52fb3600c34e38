// SPDX-License-Identifier: BSD-2-Clause
// moatd does not answer. Commands that go on until they are interrupted wait for one that is
// restarted; status tells what of the guard stands without it.
#pragma once

#include "control/cli/client.h"
#include "dataplane/host/pinned_guard.h"

namespace moat {

class Outage {
 public:
  // Whether to ask again after this failure: moatd has answered before, and is gone or does not
  // answer now. The first time it is told on stderr.
  [[nodiscard]] bool covers(const CommandError& failure);

  // moatd has answered. True if it was gone before: this may be another one.
  bool end();

 private:
  bool has_answered_ = false;
  bool is_on_ = false;
  bool was_gone_ = false;
};

// Headline, problems and notices alone: what else a status has, the kernel does not tell. `pins`:
// the folder that was looked at. `is_silent`: a moatd runs and does not answer.
[[nodiscard]] StatusView describe_standing(const PinnedGuard& guard, const std::string& pins,
                                           bool is_silent = false);

// The same for programs: that, what the guard is, and why moatd did not answer.
[[nodiscard]] Json standing_document(const PinnedGuard& guard, const StatusView& standing,
                                     const CommandError& failure);

// Adds that a change waits to be confirmed, as moatd's state folder tells whoever may look there.
void add_unconfirmed(const std::string& state, StatusView& status);

}  // namespace moat
