// SPDX-License-Identifier: BSD-2-Clause
// What commands that take much away have in common: they ask, or are told not to.
#pragma once

#include <optional>
#include <string_view>

#include "control/cli/client.h"

namespace moat {

struct YesOptions {
  bool yes = false;
};
Option yes(YesOptions& options);

// Whether somebody at the terminal really means it.
[[nodiscard]] bool ask(std::string_view question);

// Whether nobody can be asked; `meaning`: "detach ends the guard".
[[nodiscard]] std::optional<CommandError> unasked(std::string_view meaning);

}  // namespace moat
