// SPDX-License-Identifier: BSD-2-Clause
// Two packet paths as one: the kernel's, and the fast path beside it, which follows. What is live
// is what the kernel's has; counters and drops are those of both.
#pragma once

#include <memory>
#include <string>

#include "dataplane/backend.h"

namespace moat {

// `folder` is where moat-dpdk has its socket. `kernel` alone does all that this does where there is
// no worker.
[[nodiscard]] Result<std::unique_ptr<PacketPath>> join_fast_path(std::unique_ptr<PacketPath> kernel,
                                                                 const std::string& folder);

}  // namespace moat
