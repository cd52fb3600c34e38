// SPDX-License-Identifier: BSD-2-Clause
// What may come next on a command line, for the shells: the scripts in completion/ ask for it, so
// that the table of commands is all that they know.
#pragma once

#include <string>
#include <vector>

#include "control/cli/commands.h"

namespace moat {

// Prints a line for each word that may stand where the last of `words` is begun: the word, a tab,
// what it is. ":files" alone: a file's name. Ids are asked of moatd, and left out where it does not
// answer.
[[nodiscard]] Exit complete(const std::vector<std::string>& words);

}  // namespace moat
