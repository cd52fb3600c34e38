// SPDX-License-Identifier: BSD-2-Clause
// What the bytes of a file must be before anyone reads meaning into them: UTF-8 text, of bounded
// size, without control characters.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "control/text/fault_log.h"

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

}  // namespace moat
