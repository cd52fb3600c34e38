// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/host_name.h"

#include <unistd.h>

#include <array>
#include <climits>

namespace moat {

std::string host_name_of(const FleetSettings& settings) {
  if (!settings.host.empty()) return settings.host;
  std::array<char, HOST_NAME_MAX + 1> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "localhost";
}

}  // namespace moat
