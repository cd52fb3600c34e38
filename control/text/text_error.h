// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>

namespace moat {

// What is wrong with a text, and what to write instead.
struct TextError {
  std::string message;
  std::string remedy;
};

}  // namespace moat
