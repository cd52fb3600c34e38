// SPDX-License-Identifier: BSD-2-Clause
// Faults as a test writes them down: one line each, without the file's name.
#pragma once

#include <fmt/format.h>

#include <ostream>
#include <string>

#include "control/text/fault.h"

namespace moat {

// "3:5 no such port: 70000", or "3:5 warning: ..." for a warning. Remedies are left out.
inline std::string fault_text(const Faults& faults) {
  std::string text;
  for (const auto& fault : faults) {
    text += fmt::format("{}:{} {}{}{}{}\n", fault.place.line, fault.place.column,
                        fault.severity == Severity::warning ? "warning: " : "", fault.message,
                        fault.value.empty() ? "" : ": ", fault.value);
  }
  return text;
}

// For messages of a failed test.
inline std::string full_text(const Faults& faults) {
  std::string text;
  for (const auto& fault : faults) text += format_fault(fault) + "\n";
  return text;
}

// A row of a table of files with faults.
struct FaultCase {
  const char* name;
  std::string text;
  std::string faults;  // see fault_text
};

inline void PrintTo(const FaultCase& row, std::ostream* out) { *out << row.name; }

}  // namespace moat
