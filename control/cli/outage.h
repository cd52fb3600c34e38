// SPDX-License-Identifier: BSD-2-Clause
// For commands that go on until they are interrupted: a moatd that is restarted is waited for.
#pragma once

#include "control/cli/client.h"

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

}  // namespace moat
