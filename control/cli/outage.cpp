// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/outage.h"

#include <fmt/format.h>

#include <utility>

#include "control/cli/output.h"

namespace moat {

bool Outage::covers(const CommandError& failure) {
  const bool is_gone = failure.exit == Exit::unreachable;
  if (!has_answered_ || (!is_gone && failure.exit != Exit::not_enforced)) return false;
  was_gone_ |= is_gone;
  if (!std::exchange(is_on_, true))
    tell(fmt::format("{}; waiting for it", failure.refusal.message), Colour::doubtful);
  return true;
}

bool Outage::end() {
  has_answered_ = true;
  if (std::exchange(is_on_, false)) tell("moatd answers again");
  return std::exchange(was_gone_, false);
}

}  // namespace moat
