// SPDX-License-Identifier: BSD-2-Clause
// The status in words.
#pragma once

#include <string>
#include <vector>

#include "control/service/service.h"

namespace moat {

// One sentence that a tired person understands: what is guarded, where, and whether anything is
// wrong.
[[nodiscard]] std::string headline(const StatusView& status);

// Whether all is as configured; warnings and notices aside.
[[nodiscard]] bool is_well(const StatusView& status);

// One thing that is wrong, or worth knowing, with the faults that belong to it.
struct Trouble {
  std::string text;
  Faults faults;
};

// What is wrong, worst first.
[[nodiscard]] std::vector<Trouble> troubles(const StatusView& status);

// What is not wrong, and yet to be looked at: warnings in files, withdrawn ranges, generic mode.
[[nodiscard]] std::vector<Trouble> remarks(const StatusView& status);

}  // namespace moat
