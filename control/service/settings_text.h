// SPDX-License-Identifier: BSD-2-Clause
// The settings of moat.yaml in words.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "control/files/reading.h"

namespace moat {

// By the name that moat.yaml has for each; all but the folders, as those are the files' own affair.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> settings_fields(
    const Config& config);

// "backstop true -> false, interfaces [eth0] -> [eth0, eth1]"; empty: they say the same.
[[nodiscard]] std::string describe_settings_change(const Config& before, const Config& after);

}  // namespace moat
