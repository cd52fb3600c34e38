// SPDX-License-Identifier: BSD-2-Clause
// Something that happened, as the journal keeps it and the API tells it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace moat {

struct Event {
  std::uint64_t number = 0;  // each one more than the one before, over restarts too
  std::chrono::system_clock::time_point time;
  std::string kind;              // of event_kind
  std::string subject;           // which database, interface or file; empty: the host
  std::string code;              // of a problem, see problem.h
  std::uint64_t generation = 0;  // live then
  std::string author;            // "ada (uid 1000, pid 4711)"; empty: moatd itself
  std::string message;           // a sentence
};

namespace event_kind {
inline constexpr std::string_view start = "start";          // moatd has started
inline constexpr std::string_view stop = "stop";            // moatd has ended; the guard stays
inline constexpr std::string_view detach = "detach";        // the guard has ended
inline constexpr std::string_view change = "change";        // a generation was enforced
inline constexpr std::string_view expiry = "expiry";        // the same, by the clock alone
inline constexpr std::string_view mode = "mode";            // enforce or monitor, from now on
inline constexpr std::string_view mend = "mend";            // something undone was put right
inline constexpr std::string_view interface = "interface";  // one came, went or changed its mode
inline constexpr std::string_view problem = "problem";      // one began, of the code
inline constexpr std::string_view problem_over = "problem-over";
inline constexpr std::string_view trial = "trial";          // what changes now is undone later
inline constexpr std::string_view confirmed = "confirmed";  // or not, by this
}  // namespace event_kind

}  // namespace moat
