// SPDX-License-Identifier: BSD-2-Clause
// What databases expect of their rules (`expect:`), judged by find_match() as `moat why` judges.
//
// A version of a file by which an expectation would no longer hold is held back:
//
//   the database's own file      with the managed ranges as they were, it does not hold either
//   a managed range's file       with those as they were, it would hold
//   neither                      it did not hold before: its rule has expired. No file can be held
//                                back for that; the status says so, and said so before
//
// What is held down does not count here: that ends by itself.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/policy/policy.h"
#include "control/resolve/resolution.h"
#include "control/text/fault.h"

namespace moat {

// A file to be held back, and why.
struct Breach {
  std::string file;
  Faults faults;  // one at least
};

using RangesById = std::map<std::string, ManagedRange, std::less<>>;

// Costs no look at a prefix where rules, ranges and expectations are what they were.
[[nodiscard]] std::optional<Breach> find_breach(
    const std::map<std::string_view, const Database*>& in_force, const RangesById& ranges,
    const EnforcedState* last, WallTime now);

// An expectation as it is at a time, with what is held down.
struct Outlook {
  const Expectation* expectation = nullptr;
  bool holds = true;
  // One that holds: when it no longer does, as what lets the source in ends then; nothing: never.
  std::optional<WallTime> ends;
  std::string
      by;  // what ends: "rule r-1a2b3c4d"; of a source let in though denied: what lets it in
};
[[nodiscard]] std::vector<Outlook> judge_expectations(const Policy& policy,
                                                      const Database& database, WallTime now);

// Warns of those that hold and will end.
void warn_of_ends(const Policy& policy, const Database& database, WallTime now, Faults& faults);

}  // namespace moat
