// SPDX-License-Identifier: BSD-2-Clause
// From recent drops to rules that would have let them in. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "control/policy/policy.h"
#include "control/service/service.h"

namespace moat {

struct Suggestion {
  Prefix cidr;
  std::size_t sources = 0;
  std::uint64_t packets = 0;
  std::chrono::system_clock::time_point first;
  std::chrono::system_clock::time_point last;
  bool monitored = false;  // all of them passed
};

struct Suggestions {
  std::vector<Suggestion> suggestions;          // the most packets first
  std::map<std::string, std::size_t> left_out;  // sources, by why
};

// At most `room` of them. Sources of one /24 are one network where that names at most 4 times as
// many addresses as were seen, and there are 3 or more; the network is the smallest that holds
// them, and never wider than the /24. `is_allowed`: whether a source is let in by now; asked no
// more than once for each suggestion.
[[nodiscard]] Suggestions suggest_rules(const std::vector<DropView>& drops,
                                        const DatabaseView& database, std::size_t room,
                                        const std::function<bool(Address)>& is_allowed);

}  // namespace moat
