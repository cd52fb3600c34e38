// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>
#include <vector>

#include "control/cli/commands.h"

namespace moat {

// Becomes moat-agent with these arguments, "fleet" and what follows it; comes back if that fails.
[[nodiscard]] Exit hand_over_to_agent(std::vector<std::string> arguments);

}  // namespace moat
