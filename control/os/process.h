// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <sys/types.h>

#include <string>

namespace moat {

// What a process says that it was started with, its words with spaces between them and at most 200
// bytes of it: "moat rules add --cidr 192.0.2.1/32". Empty where it has ended.
[[nodiscard]] std::string command_line(pid_t pid);

}  // namespace moat
