// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/ask.h"

#include <fmt/format.h>
#include <unistd.h>

#include <iostream>
#include <string>

#include "control/cli/output.h"

namespace moat {

Option yes(YesOptions& options) { return {"--yes", "", &options.yes, "Do not ask"}; }

bool ask(std::string_view question) {
  tell(fmt::format("{} Type yes to go on:", question), Colour::bad);
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "yes";
}

std::optional<CommandError> unasked(std::string_view meaning) {
  if (isatty(STDIN_FILENO) != 0) return std::nullopt;
  return CommandError{Exit::usage,
                      {Refusal::Kind::invalid,
                       fmt::format("{}, and nobody is here to ask", meaning),
                       "give --yes if that is meant",
                       {}}};
}

}  // namespace moat
