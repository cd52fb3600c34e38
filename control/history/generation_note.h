// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace moat {

// Who had a generation enforced, when, and what changed by it.
struct GenerationNote {
  std::uint64_t generation = 0;
  std::chrono::system_clock::time_point time;
  std::string cause;    // "rule added", "rules have expired"; of a change by hand: the files' names
  std::string author;   // "ada (uid 1000, pid 4711)"; of a change by hand: the files' owners
  std::string command;  // line, of the author's process; empty: not known
  std::string change;   // see describe_change.h
};

}  // namespace moat
