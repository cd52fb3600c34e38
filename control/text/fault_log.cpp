// SPDX-License-Identifier: BSD-2-Clause
#include "control/text/fault_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "control/text/input_limits.h"
#include "control/text/utf8.h"

namespace moat {

constexpr std::size_t max_value_bytes = 120;

void FaultLog::add(Severity severity, Spot spot, std::string message, std::string_view value,
                   std::string remedy) {
  const bool is_error = severity == Severity::error;
  ++(is_error ? errors_ : warnings_);
  auto& kept = is_error ? kept_errors_ : kept_warnings_;
  if (kept.size() == limits::faults) return;
  kept.push_back({severity, place(spot), std::move(message), shorten(value, max_value_bytes),
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
                      "mend these first",
                      left_out});
  }
  return faults;
}

}  // namespace moat
