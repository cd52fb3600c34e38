// SPDX-License-Identifier: BSD-2-Clause
// The status in words.
#pragma once

#include <string>
#include <vector>

#include "control/service/service.h"

namespace moat {

// One sentence that a tired person understands: what is guarded, where, and whether anything is
// wrong, by the status's problems and notices.
[[nodiscard]] std::string headline(const StatusView& status);

// Whether the first sentence may say that all rules are enforced.
[[nodiscard]] bool is_well(const StatusView& status);

// Adds what the other members say is wrong or worth knowing to problems and notices, has them worst
// first, and writes the headline. Once, when all of the rest is there.
void add_problems(StatusView& status);

// By what ways packets come in that nothing of Moat's judges, whatever the rules say; empty: by
// none that is known.
[[nodiscard]] std::string unjudged(const StatusView& status);

// Interfaces by which packets come in judged, where those that come by others are not; empty: all
// are judged, or none.
[[nodiscard]] std::vector<std::string> judged_alone(const StatusView& status);

// What a generation is not enforced by though it should be, and the files that say something else
// by now: "NOT on eth1: the host has no such interface"; empty: nothing.
[[nodiscard]] std::string not_enforced_by(const StatusView& status);

// That generation `status.generation` is live and what it says is not known.
[[nodiscard]] std::string unknown_policy(std::uint64_t generation);

}  // namespace moat
