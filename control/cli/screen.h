// SPDX-License-Identifier: BSD-2-Clause
// A screen of a terminal's own that is drawn again and again, until somebody presses q or Ctrl-C.
#pragma once

#include <termios.h>

#include <chrono>
#include <optional>
#include <string_view>

#include "dataplane/fd.h"

namespace moat {

// The terminal is as it was before once this is gone, be it by a signal that ends the process.
class Screen {
 public:
  Screen();
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  // As much of `text` as there is room for.
  static void draw(std::string_view text);

  enum class Event { time_passed, resized, end };
  // The first that comes within `time`.
  [[nodiscard]] Event wait(std::chrono::milliseconds time) const;

 private:
  std::optional<termios> before_;  // of stdin, if that is a terminal
  Fd signals_;
};

}  // namespace moat
