// SPDX-License-Identifier: BSD-2-Clause
// The sockets on which the daemon listens, and who is at the other end.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "control/os/file_stamp.h"
#include "dataplane/error.h"
#include "dataplane/fd.h"

namespace moat {

// Binds and listens; makes the folder if it is missing. The socket is for its owner and `group`
// (0660), or for its owner's group where the host has none of that name. A stale one is replaced;
// one that somebody answers on is not, nor is anything that is no socket.
[[nodiscard]] Result<Fd> listen_on(const std::string& path, const std::string& group);

// Whether everybody may connect (0666), or the owner and the group alone (0660).
void open_to_others(const std::string& path, bool is_open);

// Listens on TCP: "127.0.0.1:9723" or "[::1]:9723". Errors: also any other address than one of the
// host's to itself.
[[nodiscard]] Result<Fd> listen_on_loopback(const std::string& address);

// Who is at the other end of a connected unix socket, as of the connect.
struct PeerCredentials {
  uid_t uid = static_cast<uid_t>(-1);
  gid_t gid = static_cast<gid_t>(-1);
  pid_t pid = 0;
  std::vector<gid_t> groups;  // the supplementary ones; none where the kernel does not tell

  [[nodiscard]] bool is_in(gid_t group) const;
};
[[nodiscard]] PeerCredentials peer_credentials(int fd);

// Which socket has that path, by which one can tell later whether it still has; nothing: none.
[[nodiscard]] std::optional<FileId> socket_at(const std::string& path);

}  // namespace moat
