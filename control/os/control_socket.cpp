// SPDX-License-Identifier: BSD-2-Clause
#include "control/os/control_socket.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>

#include "control/os/file_io.h"
#include "control/os/local_names.h"
#include "dataplane/own_folder.h"

namespace moat {
namespace {

constexpr int backlog = 64;
constexpr mode_t folder_mode = 0755;

std::unexpected<Error> fail(const std::string& doing, const std::string& path, int cause,
                            std::string remedy = {}) {
  return std::unexpected(Error{describe_errno(doing, path, cause), std::move(remedy)});
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

std::optional<FileId> socket_at(const std::string& path) {
  struct stat status{};
  if (lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return std::nullopt;
  return FileId{status.st_dev, status.st_ino};
}

}  // namespace moat
