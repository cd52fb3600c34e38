// SPDX-License-Identifier: BSD-2-Clause
// state.json: {"version": 1, "checksum": FNV-1a of the text of "state", "state": {...}}
#pragma once

#include <expected>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "control/state/state.h"

namespace moat {

// By managed range: the digest that names the list of its CIDRs, and those of what it holds down.
struct ListDigests {
  std::map<std::string, std::string> lists;
  std::map<std::string, std::vector<std::string>> held_down;
};

[[nodiscard]] std::string format_state(const State& state, const ListDigests& digests);

struct ParsedState {
  State state;  // its managed ranges, and what they hold down, have no CIDRs yet: null
  ListDigests digests;
};

// Checks all that the rest of Moat relies on: limits, numbers in range, each name known. The error
// says what is wrong.
[[nodiscard]] std::expected<ParsedState, std::string> parse_state(std::string_view text);

}  // namespace moat
