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

std::size_t count_faults(const Faults& faults) {
  std::size_t count = 0;
  for (const auto& fault : faults) count += fault.count;
  return count;
}

Faults some_faults(const Faults& faults) {
  constexpr std::size_t max_faults = 3;
  Faults some;
  for (const auto severity : {Severity::error, Severity::warning}) {
    for (const auto& fault : faults) {
      if (fault.severity == severity && fault.count == 1 && some.size() < max_faults)
        some.push_back(fault);
    }
  }
  return some;
}

bool has_error(const Faults& faults) {
  return std::ranges::any_of(faults, [](const Fault& f) { return f.severity == Severity::error; });
}

}  // namespace moat
