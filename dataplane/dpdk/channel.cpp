// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/dpdk/channel.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace moat {
namespace {

constexpr std::size_t max_message = 8192;
static_assert(sizeof(DropsMessage) <= max_message && sizeof(StatusMessage) <= max_message);

union FileRoom {
  cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(int))];
};

}  // namespace

Result<> Channel::send_bytes(std::span<const std::byte> bytes, int file, bool waits) {
  iovec part = {const_cast<std::byte*>(bytes.data()), bytes.size()};
  FileRoom room = {};
  msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (file >= 0) {
    message.msg_control = &room;
    message.msg_controllen = sizeof room;
    cmsghdr* control = CMSG_FIRSTHDR(&message);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(sizeof file);
    std::memcpy(CMSG_DATA(control), &file, sizeof file);
  }
  const int flags = MSG_NOSIGNAL | (waits ? 0 : MSG_DONTWAIT);
  for (;;) {
    if (::sendmsg(socket_.get(), &message, flags) >= 0) return {};
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
      return std::unexpected(
          waits ? Error{"the other end of the fast path's channel does not read", {}} : Error{});
    return failed("speak on the fast path's channel");
  }
}

Result<std::optional<Message>> Channel::receive() {
  std::vector<std::byte> bytes(max_message);
  iovec part = {bytes.data(), bytes.size()};
  FileRoom room = {};
  msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = &room, .msg_controllen = sizeof room};
  ssize_t got = 0;
  do got = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  while (got < 0 && errno == EINTR);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return std::nullopt;
  if (got < 0) return failed("listen on the fast path's channel");
  Fd file;
  const cmsghdr* control = CMSG_FIRSTHDR(&message);
  if (control != nullptr && control->cmsg_level == SOL_SOCKET && control->cmsg_type == SCM_RIGHTS &&
      control->cmsg_len == CMSG_LEN(sizeof(int))) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(control), sizeof fd);
    file = Fd(fd);
  }
  if (got == 0)
    return std::unexpected(Error{"the other end of the fast path's channel closed", {}});
  if (static_cast<std::size_t>(got) < sizeof(MessageHeader) || (message.msg_flags & MSG_TRUNC) != 0)
    return std::unexpected(
        Error{fmt::format("a message of {} bytes on the fast path's channel", got),
              "install moatd and moat-dpdk of one version"});
  bytes.resize(static_cast<std::size_t>(got));
  return Message(std::move(bytes), std::move(file));
}

Result<> Channel::check_peer() const {
  ucred peer = {};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket_.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
    return failed("ask who is at the fast path's channel");
  if (peer.uid == 0 || peer.uid == ::geteuid()) return {};
  return std::unexpected(
      Error{fmt::format("uid {} (pid {}) is at the fast path's channel", peer.uid, peer.pid), {}});
}

void put_text(std::span<char> to, std::string_view text) {
  const std::size_t size = std::min(text.size(), to.size() - 1);
  std::memcpy(to.data(), text.data(), size);
  std::fill(to.begin() + static_cast<std::ptrdiff_t>(size), to.end(), '\0');
}

}  // namespace moat
