// SPDX-License-Identifier: BSD-2-Clause
// Runs a program of the system's and reads what it says.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "dataplane/error.h"

namespace moat {

// Looks in the folders of system programs, whatever PATH says. Without arguments but these, with no
// environment but LC_ALL=C and those folders.
[[nodiscard]] bool has_program(const std::string& name);

// What the program writes to its standard output, once it has ended with 0. Else the error says
// what it complained of. One that takes longer than `patience` is killed.
[[nodiscard]] Result<std::string> run_program(const std::string& name,
                                              const std::vector<std::string>& arguments,
                                              std::chrono::milliseconds patience);

}  // namespace moat
