// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <sys/un.h>

#include <cstring>
#include <string>

#include "dataplane/error.h"

namespace moat {

[[nodiscard]] inline Result<sockaddr_un> unix_address(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return std::unexpected(
        Error{"socket path '" + path + "' is empty or too long", "give one of at most 107 bytes"});
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

}  // namespace moat
