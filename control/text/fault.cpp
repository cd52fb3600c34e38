// SPDX-License-Identifier: BSD-2-Clause
#include "control/text/fault.h"

#include <fmt/format.h>

#include <algorithm>

#include "control/text/utf8.h"

namespace moat {
namespace {

// Values come from files: none may move a terminal's cursor or break a line of the log.
std::string printable(std::string_view value) {
  std::string text;
  while (const auto control = find_control(value)) {
    text += value.substr(0, *control);
    value.remove_prefix(*control);
    do {
      text += fmt::format("\\x{:02x}", static_cast<unsigned char>(value[0]));
      value.remove_prefix(1);
    } while (!value.empty() && (static_cast<unsigned char>(value[0]) & 0xc0) == 0x80);
  }
  return text.append(value);
}

}  // namespace

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
