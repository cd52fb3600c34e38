// SPDX-License-Identifier: BSD-2-Clause
// What there is to know beside the help on each command.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "control/cli/commands.h"

namespace moat {

struct Topic {
  std::string_view name;
  std::string_view help;  // a line
  std::string_view text;
};

// Null: there is none.
[[nodiscard]] const Topic* find_topic(std::string_view name);
[[nodiscard]] std::vector<std::string_view> topic_names();
// Names and what each is about.
[[nodiscard]] std::string list_topics();

}  // namespace moat
