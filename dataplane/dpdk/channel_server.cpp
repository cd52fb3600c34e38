// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/dpdk/channel_server.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "dataplane/dpdk/sealed_table.h"
#include "dataplane/dpdk/unix_address.h"

namespace moat {
namespace {

// For a moatd that does not read: one that was stopped, or hangs. The worker has an end of its own
// to listen for, and links to follow.
constexpr timeval wait_for_moatd = {.tv_sec = 1, .tv_usec = 0};

// A socket that a worker left when it was killed refuses. One that hangs accepts nobody (EAGAIN).
bool is_answered(const sockaddr_un& address) {
  const Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
             0 ||
         errno == EAGAIN;
}

bool is_hung_up(int socket) {
  pollfd looks = {socket, 0, 0};
  return ::poll(&looks, 1, 0) == 1 && (looks.revents & (POLLHUP | POLLERR)) != 0;
}

}  // namespace

Result<ChannelServer> ChannelServer::listen(const std::string& path, const HelloMessage& hello,
                                            const Account& account, Worker worker) {
  const auto what = "listen at " + path;
  const auto address = unix_address(path);
  if (!address) return std::unexpected(address.error());
  if (is_answered(*address))
    return std::unexpected(Error{what + ": another moat-dpdk does", "end that one first"});
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return failed(what);
  ChannelServer server;
  server.listener_ = Fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const mode_t earlier = ::umask(0177);
  const int bound =
      ::bind(server.listener_.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address);
  ::umask(earlier);
  if (bound != 0 || ::listen(server.listener_.get(), 4) != 0) return failed(what);
  server.hello_ = hello;
  server.account_ = &account;
  server.worker_ = std::move(worker);
  return server;
}

Result<> ChannelServer::accept() {
  Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!socket) return errno == EAGAIN ? Result<>() : failed("accept a moatd");
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &wait_for_moatd, sizeof wait_for_moatd) !=
      0)
    return failed("bound the wait for moatd");
  Channel channel(std::move(socket));
  if (auto allowed = channel.check_peer(); !allowed) return allowed;
  // A moatd that was killed and started anew can be here before it was noticed that it went.
  if (moatd_ && is_hung_up(moatd_->fd())) moatd_.reset();
  if (moatd_) {
    RefusedMessage message = {};
    put_text(message.message, "another moatd is connected to moat-dpdk");
    (void)channel.send(message, 0);
    return std::unexpected(Error{"a second moatd was turned away", "run one moatd alone"});
  }
  moatd_.emplace(std::move(channel));
  return greet();
}

Result<> ChannelServer::greet() {
  HelloMessage hello = hello_;
  hello.live = worker_.live();
  auto greeted = moatd_->send(hello, 0, account_->fd());
  if (!greeted) moatd_.reset();
  return greeted;
}

Result<> ChannelServer::serve() {
  while (moatd_) {
    auto message = moatd_->receive();
    if (message && !*message) return {};
    auto answered = message ? answer(**message) : Result<>(std::unexpected(message.error()));
    if (!answered) {
      moatd_.reset();
      return answered;
    }
  }
  return {};
}

Result<> ChannelServer::answer(Message& message) {
  const std::uint32_t request = message.header().request;
  if (const auto* asked = message.as<PublishMessage>())
    return publish(*asked, std::move(message.file()));
  if (message.as<AskStatusMessage>() != nullptr) return moatd_->send(worker_.status(), request);
  if (message.as<AskTableMessage>() != nullptr) {
    const int table = worker_.table();
    if (table < 0) return refuse(request, {"moat-dpdk has no table yet", {}});
    return moatd_->send(TableMessage{}, request, table);
  }
  return std::unexpected(Error{fmt::format("moatd says something unknown ({})",
                                           static_cast<unsigned>(message.header().type)),
                               "install moatd and moat-dpdk of one version"});
}

Result<> ChannelServer::publish(const PublishMessage& request, Fd file) {
  auto table = open_sealed_table(file);
  if (!table) return refuse(request.header.request, table.error());
  const moat_table& header = table->header();
  if (header.generation != request.table.generation || header.digest != request.table.digest ||
      header.size != request.table.size)
    return refuse(request.header.request, {"the table is another one than moatd says", {}});
  if (auto published = worker_.publish(std::move(*table), std::move(file)); !published)
    return refuse(request.header.request, published.error());
  return moatd_->send(PublishedMessage{.header = {}, .live = request.table},
                      request.header.request);
}

Result<> ChannelServer::refuse(std::uint32_t request, const Error& error) {
  RefusedMessage message = {};
  put_text(message.message, error.message);
  put_text(message.remedy, error.remedy);
  return moatd_->send(message, request);
}

std::size_t ChannelServer::send_drops(std::span<const moat_drop> drops) {
  std::size_t sent = 0;
  while (moatd_ && sent < drops.size()) {
    const auto some = drops.subspan(sent, std::min(DropsMessage::max_drops, drops.size() - sent));
    DropsMessage message = {};
    message.count = static_cast<std::uint32_t>(some.size());
    std::ranges::copy(some, message.drop);
    const auto room = moatd_->try_send(message);
    if (!room) moatd_.reset();
    if (!room || !*room) break;
    sent += some.size();
  }
  return sent;
}

}  // namespace moat
