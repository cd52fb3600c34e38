// SPDX-License-Identifier: BSD-2-Clause
// What the bytes of a file must be before anyone reads meaning into them: UTF-8 text, of bounded
// size, without control characters.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "control/fault_log.h"

namespace moat {

// A file's bytes, fit for a parser.
struct Text {
  std::string_view bytes;    // what to parse
  unsigned skipped = 0;      // bytes (of a BOM) that line 1 had before these
  std::string replaced;      // owns `bytes` where some had to be replaced by '?'
  bool is_readable = false;  // false: reading on would only invent faults
};

// Names in `log` what is wrong with `bytes`: the first place of each kind of fault.
[[nodiscard]] Text check_text(std::string_view bytes, std::size_t limit, FaultLog& log);

// Where valid UTF-8 has its first character that a one-line text must not have: C0, DEL and C1
// controls, line and paragraph separators, and those that reorder the text around them.
[[nodiscard]] std::optional<std::size_t> find_control(std::string_view utf8);

// At most `most` bytes of `utf8`, cut between characters, with "..." where something was cut.
[[nodiscard]] std::string shorten(std::string_view utf8, std::size_t most);

}  // namespace moat
