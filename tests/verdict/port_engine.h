// SPDX-License-Identifier: BSD-2-Clause
// The fast path's whole way as an engine: into a port of DPDK's, and out of another or not.
#pragma once

#include <memory>
#include <vector>

#include "tests/verdict/engines.h"

namespace moat::testing {

// Where Moat is built without DPDK there is none.
[[nodiscard]] Result<> add_port_engine(std::vector<std::unique_ptr<Engine>>& engines);

}  // namespace moat::testing
