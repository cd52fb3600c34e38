// SPDX-License-Identifier: BSD-2-Clause
// A long table on a terminal goes through a pager.
#pragma once

#include "control/cli/commands.h"
#include "dataplane/fd.h"

namespace moat {

// Set while what is printed goes to a pager, which shows it on a terminal: see wants_colour().
inline constexpr auto pager_variable = "MOAT_IN_PAGER";

// While it lives, what is printed to stdout is kept; then it is shown, by $PAGER (else less) where
// it has more lines than the terminal. Does nothing where stdout is no terminal, or with
// --no-pager, --json, or a PAGER that is empty or "cat".
class Pager {
 public:
  explicit Pager(const Cli& cli);
  ~Pager();
  Pager(const Pager&) = delete;
  Pager& operator=(const Pager&) = delete;

 private:
  Fd terminal_;  // empty: nothing is kept
  Fd kept_;
};

}  // namespace moat
