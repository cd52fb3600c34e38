// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>

#include "control/service/service.h"

namespace moat {

// Adds what moat-agent tells of its sources, in the folder of the managed ranges: what is old, what
// fails and what it holds back. The agent may be dead, so it is moatd that tells.
void add_agent(const std::string& folder, StatusView& view);

}  // namespace moat
