// SPDX-License-Identifier: BSD-2-Clause
// The status in words.
#pragma once

#include <string>
#include <vector>

#include "control/service/service.h"

namespace moat {

// One sentence that a tired person understands: what is guarded, where, and whether anything is
// wrong.
[[nodiscard]] std::string headline(const StatusView& status);

// Whether the first sentence may say that all rules are enforced.
[[nodiscard]] bool is_well(const StatusView& status);

// How many things are wrong: `moat status` ends with 1 if there are any, and moat_problems counts
// them. Monitor mode is none, as somebody has chosen it.
[[nodiscard]] std::size_t count_problems(const StatusView& status);

// One thing that is wrong, or worth knowing, with the faults that belong to it.
struct Problem {
  std::string text;
  Faults faults;
};

// What is wrong, worst first.
[[nodiscard]] std::vector<Problem> problems(const StatusView& status);

// What is not wrong, and yet to be looked at: warnings in files, pending changes, generic mode.
[[nodiscard]] std::vector<Problem> remarks(const StatusView& status);

// By what ways packets come in that nothing of Moat's judges, whatever the rules say; empty: by
// none that is known.
[[nodiscard]] std::string unjudged(const StatusView& status);

// What a generation is not enforced by though it should be, and the files that say something else
// by now: "NOT on eth1: the host has no such interface"; empty: nothing.
[[nodiscard]] std::string not_enforced_by(const StatusView& status);

// That generation `status.generation` is live and what it says is not known.
[[nodiscard]] std::string unknown_policy(std::uint64_t generation);

}  // namespace moat
