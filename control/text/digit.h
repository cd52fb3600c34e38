// SPDX-License-Identifier: BSD-2-Clause
#pragma once

namespace moat {

// Of ASCII alone, whatever the locale.
[[nodiscard]] constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace moat
