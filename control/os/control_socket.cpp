// SPDX-License-Identifier: BSD-2-Clause
#include "control/os/control_socket.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>

#include "control/os/file_io.h"
#include "control/os/local_names.h"
#include "control/os/loopback.h"
#include "dataplane/own_folder.h"

namespace moat {
namespace {

constexpr int backlog = 64;
constexpr mode_t folder_mode = 0755;

std::unexpected<Error> fail(const std::string& doing, const std::string& path, int cause,
                            std::string remedy = {}) {
  return failed(fmt::format("{} {}", doing, path), cause, std::move(remedy));
}

Fd make_socket() { return Fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); }

Result<> remove_stale(const std::string& path, const sockaddr_un& address) {
  struct stat status{};
  if (lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    return fail("look at", path, errno);
  }
  if (!S_ISSOCK(status.st_mode)) {
    return std::unexpected(
        Error{fmt::format("{} is there and is no socket", path), "choose another --socket"});
  }
  const auto probe = make_socket();
  if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
      errno == EAGAIN) {
    return std::unexpected(
        Error{fmt::format("somebody listens on {} already", path), "choose another --socket"});
  }
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return fail("remove the stale", path, errno);
  return {};
}

}  // namespace

Result<Fd> listen_on(const std::string& path, const std::string& group) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return fail("listen on", path, ENAMETOOLONG);
  std::memcpy(address.sun_path, path.c_str(), path.size());

  // Else others could take the name first, or put a socket of theirs in its place.
  if (auto own = make_own_folder(std::filesystem::absolute(path).parent_path(), folder_mode); !own)
    return std::unexpected(own.error());
  if (auto removed = remove_stale(path, address); !removed) {
    return std::unexpected(removed.error());
  }
  auto listener = make_socket();
  if (!listener) return fail("make a socket for", path, errno);
  // Nobody may connect before the group is right.
  const mode_t mask = umask(0777);
  const int bound = bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  const int cause = errno;
  umask(mask);
  if (bound != 0) return fail("bind", path, cause);
  if (const auto gid = find_group(group)) {
    if (lchown(path.c_str(), static_cast<uid_t>(-1), *gid) != 0) {
      return fail("give to group " + group, path, errno);
    }
  }
  if (chmod(path.c_str(), 0660) != 0) return fail("set the mode of", path, errno);
  if (listen(listener.get(), backlog) != 0) return fail("listen on", path, errno);
  return listener;
}

void open_to_others(const std::string& path, bool is_open) {
  struct stat status{};
  const mode_t mode = is_open ? 0666 : 0660;
  if (lstat(path.c_str(), &status) == 0 && (status.st_mode & 0777) != mode)
    (void)chmod(path.c_str(), mode);
}

Result<Fd> listen_on_loopback(const std::string& address) {
  const auto parsed = parse_loopback(address);
  if (!parsed) return std::unexpected(parsed.error());
  const auto& [socket_address, size] = *parsed;
  Fd listener(socket(socket_address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener) return fail("make a socket for", address, errno);
  // What is left of connections of a moatd before must not keep this one from listening.
  const int yes = 1;
  setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&socket_address), size) != 0 ||
      listen(listener.get(), backlog) != 0)
    return fail("listen on", address, errno);
  return listener;
}

bool PeerCredentials::is_in(gid_t group) const {
  return gid == group || std::ranges::find(groups, group) != groups.end();
}

PeerCredentials peer_credentials(int fd) {
  PeerCredentials peer;
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return peer;
  peer.uid = credentials.uid;
  peer.gid = credentials.gid;
  peer.pid = credentials.pid;
  // As many as it takes: the kernel says how many when the room is too small.
  socklen_t bytes = 0;
  (void)getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, nullptr, &bytes);
  peer.groups.resize(bytes / sizeof(gid_t));
  if (bytes == 0 || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, peer.groups.data(), &bytes) != 0)
    peer.groups.clear();
  return peer;
}

std::optional<FileId> socket_at(const std::string& path) {
  struct stat status{};
  if (lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return std::nullopt;
  return FileId{status.st_dev, status.st_ino};
}

}  // namespace moat
