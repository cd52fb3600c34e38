// SPDX-License-Identifier: BSD-2-Clause
// The readers of single values: what they accept has one spelling, so that writing it gives back
// the text; and what they refuse is explained.
#include "control/files/reading.h"
#include "control/policy/prefix.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/require.h"

namespace moat::testing {
namespace {

template <typename T, typename Format>
void require_round_trip(std::string_view text, const std::expected<T, Error>& read,
                        const Format& format) {
  if (read)
    require(format(*read) == text, "one spelling for a value", text);
  else
    require(!read.error().message.empty(), "a refusal says why", text);
}

}  // namespace
}  // namespace moat::testing

void moat::testing::fuzz(std::string_view text) {
  testing::require_round_trip(text, parse_address(text),
                              [](Address address) { return format_address(address); });
  testing::require_round_trip(text, parse_prefix(text), format_prefix);
  testing::require_round_trip(text, parse_time(text), format_time);
  const auto duration = parse_duration(text);
  testing::require(duration ? duration->count() >= 1 && duration->count() <= 86'400'000
                            : !duration.error().message.empty(),
                   "a duration within its limits, or why not", text);
}
