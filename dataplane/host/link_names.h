// SPDX-License-Identifier: BSD-2-Clause
// What the interfaces of this network namespace are called.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/error.h"
#include "dataplane/host/stacked_links.h"

namespace moat {

struct LinkNames {
  std::vector<std::string> names;  // its own first, then those that `ip link property` gave it
  bool loopback = false;
};

// The name of the interface that has that number now; empty: none has.
[[nodiscard]] std::string link_name(std::uint32_t ifindex);
// The same, or "#7" where none has.
[[nodiscard]] std::string link_name_or_number(std::uint32_t ifindex);

[[nodiscard]] std::vector<LinkNames> names_of(const std::vector<LinkPlace>& links);
[[nodiscard]] Result<std::vector<LinkNames>> list_link_names();

}  // namespace moat
