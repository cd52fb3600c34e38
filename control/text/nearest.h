// SPDX-License-Identifier: BSD-2-Clause
// Hints for names that nobody knows.
#pragma once

#include <span>
#include <string_view>

namespace moat {

// The nearest of `candidates` to `name` by Levenshtein distance, the first of equals; empty if none
// is within a third of the name's length, rounded up.
[[nodiscard]] std::string_view nearest(std::string_view name,
                                       std::span<const std::string_view> candidates);

}  // namespace moat
