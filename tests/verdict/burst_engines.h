// SPDX-License-Identifier: BSD-2-Clause
// The fast path's burst function as engines: on frames in one piece, and cut in two.
#pragma once

#include <memory>
#include <vector>

#include "tests/verdict/engines.h"

namespace moat::testing {

void add_burst_engines(std::vector<std::unique_ptr<Engine>>& engines);

}  // namespace moat::testing
