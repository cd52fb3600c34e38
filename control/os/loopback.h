// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <sys/socket.h>

#include <string>
#include <utility>

#include "dataplane/error.h"

namespace moat {

// "127.0.0.1:9723" or "[::1]:9723", for bind(). Error: anything else, and any address by which
// other hosts reach this one.
[[nodiscard]] Result<std::pair<sockaddr_storage, socklen_t>> parse_loopback(
    const std::string& address);

}  // namespace moat
