// SPDX-License-Identifier: BSD-2-Clause
// Runs a program of the system's and reads what it says.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/error.h"

namespace moat {

// What the program writes to its standard output, once it has ended with 0. Else the error says
// what it complained of. One that takes longer than `patience` is killed. It is looked for in the
// folders of system programs, whatever PATH says, and has no arguments but these and no environment
// but LC_ALL=C and those folders. It reads `input`.
[[nodiscard]] Result<std::string> run_program(const std::string& name,
                                              const std::vector<std::string>& arguments,
                                              std::chrono::milliseconds patience,
                                              std::string_view input = {});

}  // namespace moat
