// SPDX-License-Identifier: BSD-2-Clause
// What the interfaces of this network namespace are called.
#pragma once

#include <string>
#include <vector>

#include "dataplane/error.h"

namespace moat {

struct LinkNames {
  std::vector<std::string> names;  // its own first, then those that `ip link property` gave it
  bool loopback = false;
};

[[nodiscard]] Result<std::vector<LinkNames>> list_link_names();

}  // namespace moat
