// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>

#include "control/agent/agent_file.h"

namespace moat {

// What this host is called in its fleet.
[[nodiscard]] std::string host_name_of(const FleetSettings& settings);

}  // namespace moat
