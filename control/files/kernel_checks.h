// SPDX-License-Identifier: BSD-2-Clause
// What of Moat a kernel does not carry, before anything is relied on.
#pragma once

#include <string>
#include <vector>

#include "dataplane/host/kernel.h"

namespace moat {

struct KernelLimit {
  bool is_fatal = false;  // nothing would be guarded
  std::string message;    // what is so, and what of it follows
  std::string remedy;
};

// The worst first.
[[nodiscard]] std::vector<KernelLimit> find_kernel_limits(const KernelFacts& kernel);

}  // namespace moat
