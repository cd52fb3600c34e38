// SPDX-License-Identifier: BSD-2-Clause
// The unix socket on which the daemon listens.
#pragma once

#include <optional>
#include <string>

#include "control/os/file_stamp.h"
#include "dataplane/error.h"
#include "dataplane/fd.h"

namespace moat {

// Binds and listens; makes the folder if it is missing. The socket is for its owner and `group`
// (0660), or for its owner's group where the host has none of that name. A stale one is replaced;
// one that somebody answers on is not, nor is anything that is no socket.
[[nodiscard]] Result<Fd> listen_on(const std::string& path, const std::string& group);

// Which socket has that path, by which one can tell later whether it still has; nothing: none.
[[nodiscard]] std::optional<FileId> socket_at(const std::string& path);

}  // namespace moat
