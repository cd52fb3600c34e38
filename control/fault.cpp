// SPDX-License-Identifier: BSD-2-Clause
#include "control/fault.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "control/fault_log.h"
#include "control/limits.h"
#include "control/text.h"

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

constexpr std::size_t most_value_bytes = 120;

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

void FaultLog::add(Severity severity, Spot spot, std::string message, std::string_view value,
                   std::string remedy) {
  const bool is_error = severity == Severity::error;
  ++(is_error ? errors_ : warnings_);
  auto& kept = is_error ? kept_errors_ : kept_warnings_;
  if (kept.size() == limits::faults) return;
  kept.push_back({severity, place(spot), std::move(message), shorten(value, most_value_bytes),
                  std::move(remedy)});
}

Faults FaultLog::take() {
  Faults faults = std::move(kept_errors_);
  const auto room = std::min(limits::faults - faults.size(), kept_warnings_.size());
  std::move(kept_warnings_.begin(), kept_warnings_.begin() + static_cast<std::ptrdiff_t>(room),
            std::back_inserter(faults));
  const auto left_out = errors_ + warnings_ - faults.size();
  std::ranges::stable_sort(faults, {}, [](const Fault& fault) {
    return std::pair(fault.place.line, fault.place.column);
  });
  if (left_out > 0) {
    faults.push_back({errors_ > limits::faults ? Severity::error : Severity::warning,
                      place({}),
                      fmt::format("{} more faults in this file", left_out),
                      {},
                      "mend these first"});
  }
  return faults;
}

}  // namespace moat
