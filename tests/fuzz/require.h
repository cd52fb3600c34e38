// SPDX-License-Identifier: BSD-2-Clause
// What fuzz targets hold their subjects to: a broken promise is told and ends the process, so that
// the fuzzer keeps the input.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "control/text/fault.h"
#include "control/text/utf8.h"

namespace moat::testing {

inline void require(bool holds, std::string_view promise, std::string_view detail = {}) {
  if (holds) return;
  fmt::print(stderr, "broken promise: {}\n{}\n", promise, detail);
  std::abort();
}

// Faults are for people: each is one line that does nothing to a terminal, and its place is in the
// file.
inline void require_sound(const Faults& faults, bool has_value, std::string_view bytes) {
  require(has_value == !has_error(faults), "a value if and only if there is no error");
  std::size_t lines = 1;
  for (const char c : bytes) lines += c == '\n' || c == '\r' ? 1 : 0;
  for (const Fault& fault : faults) {
    const std::string text = format_fault(fault);
    require(!fault.message.empty(), "a fault says what is wrong", text);
    require(!find_control(text), "a fault is one printable line", text);
    require(fault.place.line <= lines + 1, "a fault's line is in the file", text);
    require(fault.place.column <= bytes.size() + 1, "a fault's column is in the file", text);
  }
}

}  // namespace moat::testing
