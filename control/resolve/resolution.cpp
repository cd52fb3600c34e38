// SPDX-License-Identifier: BSD-2-Clause
#include "control/resolve/resolution.h"

#include <algorithm>

namespace moat {

std::string_view word(FileState state) {
  const auto found =
      std::ranges::find(file_state_words, state, &std::pair<FileState, std::string_view>::first);
  return found == file_state_words.end() ? std::string_view() : found->second;
}

}  // namespace moat
