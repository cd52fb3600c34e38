// SPDX-License-Identifier: BSD-2-Clause
// Where whoever types this comes from.
#pragma once

#include <string>

#include "control/cli/client.h"

namespace moat {

// The IPv4 address of the SSH client in whose session the command runs.
[[nodiscard]] ClientResult<std::string> own_address();

}  // namespace moat
