// SPDX-License-Identifier: BSD-2-Clause
#include "control/text/fault.h"

#include <fmt/format.h>

#include <algorithm>

#include "control/text/utf8.h"

namespace moat {
std::string format_fault(const Fault& fault) {
  std::string text = printable(fault.place.file);
  if (fault.place.line != 0) {
    text += fmt::format(":{}:{}", fault.place.line, fault.place.column);
  }
  text += fmt::format(": {}: {}", fault.severity == Severity::error ? "error" : "warning",
                      printable(fault.message));
  if (!fault.value.empty()) text += fmt::format(": \"{}\"", printable(fault.value));
  if (!fault.remedy.empty()) text += fmt::format(" ({})", printable(fault.remedy));
  return text;
}

bool has_error(const Faults& faults) {
  return std::ranges::any_of(faults, [](const Fault& f) { return f.severity == Severity::error; });
}

}  // namespace moat
