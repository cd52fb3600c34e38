// SPDX-License-Identifier: BSD-2-Clause
// What moat-agent tells of its sources and of its fleet, in the folder of the managed ranges. The
// agent may be dead, so it is moatd that tells.
#pragma once

#include <string>
#include <vector>

#include "control/service/service.h"

namespace moat {

// None where it tells nothing, or nothing that can be read.
[[nodiscard]] std::vector<RangeSourceView> agents_sources(const std::string& folder);

// Adds its sources and its fleet, and as problems what is old, what fails and what it holds back.
void add_agent(const std::string& folder, StatusView& view);

}  // namespace moat
