// SPDX-License-Identifier: BSD-2-Clause
// When a rule shall expire, as people type it; files have UTC times alone.
#pragma once

#include <chrono>
#include <expected>
#include <string>

#include "control/policy/policy.h"

namespace moat {

// A length from now on: "90s", "30m", "12h", "7d", "2w"; a time, in UTC or with its offset:
// "2027-01-31T18:00:00Z", "2027-01-31T19:00:00+01:00"; or a day, whose first moment in UTC is
// meant: "2027-01-31". Refused if it is past, or no file could say it.
[[nodiscard]] std::expected<WallTime, Error> parse_expiry(const std::string& text, WallTime now);

// A time that has been, in the same forms; a length is one back from now.
[[nodiscard]] std::expected<WallTime, Error> parse_since(const std::string& text, WallTime now);

// A length alone.
[[nodiscard]] std::expected<std::chrono::seconds, Error> parse_length(const std::string& text);

}  // namespace moat
