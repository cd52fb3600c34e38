// SPDX-License-Identifier: BSD-2-Clause
// Whose sockets are whose, by /proc. To look at the sockets of others' processes takes root.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "dataplane/error.h"
#include "dataplane/host/sessions.h"

namespace moat {

struct Process {
  std::int32_t pid = 0;
  std::string name;  // as the kernel keeps it, 15 bytes at most
};

// Which process has which socket, by the sockets' inode numbers: of several that share one, that
// with the highest pid, as a server hands sessions on to its children. Without those of processes
// that may not be looked at.
[[nodiscard]] std::map<std::uint64_t, Process> socket_owners();

// The connection of the SSH session that `pid` runs in: of the nearest process above it that is an
// SSH server of root's, the socket of this network namespace that a client connected to. By the
// kernel's tables alone: what a session's environment says anyone can set.
[[nodiscard]] Result<Session> ssh_session(std::int32_t pid);

}  // namespace moat
