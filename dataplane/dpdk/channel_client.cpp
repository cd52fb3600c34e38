// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/dpdk/channel_client.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "dataplane/dpdk/sealed_table.h"
#include "dataplane/dpdk/unix_address.h"

namespace moat {
namespace {

using Steady = std::chrono::steady_clock;

std::unexpected<Error> unknown_words() {
  return std::unexpected(
      Error{"moat-dpdk says something unknown", "install moatd and moat-dpdk of one version"});
}

Error refusal_of(const RefusedMessage& message) { return {message.message, message.remedy}; }

// False: not until then.
bool is_readable(int fd, Steady::time_point end) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Steady::now());
  if (left.count() <= 0) return false;
  pollfd waits = {fd, POLLIN, 0};
  return ::poll(&waits, 1, static_cast<int>(left.count())) != 0;
}

}  // namespace

Result<ChannelClient> ChannelClient::begin(const std::string& path) {
  const auto address = unix_address(path);
  if (!address) return std::unexpected(address.error());
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0)
    return std::unexpected(Error{fmt::format("reach moat-dpdk at {}: {}", path, errno_words(errno)),
                                 "start moat-dpdk"});
  ChannelClient client(std::move(socket));
  if (auto allowed = client.channel_.check_peer(); !allowed)
    return std::unexpected(allowed.error());
  return client;
}

Result<ChannelClient> ChannelClient::connect(const std::string& path,
                                             std::chrono::milliseconds patience) {
  auto client = begin(path);
  if (!client) return client;
  client->patience_ = patience;
  const auto end = Steady::now() + patience;
  for (;;) {
    auto heard = client->answer();
    if (!heard) return std::unexpected(heard.error());
    if (client->is_greeted()) return client;
    if (!is_readable(client->fd(), end))
      return std::unexpected(Error{"no answer on the fast path's channel in time", {}});
  }
}

Result<> ChannelClient::take_hello(Message& message) {
  if (const auto* refused = message.as<RefusedMessage>())
    return std::unexpected(refusal_of(*refused));
  const auto* hello = message.as<HelloMessage>();
  if (hello == nullptr) return unknown_words();
  if (hello->version != channel_version || hello->abi != MOAT_ABI)
    return std::unexpected(
        Error{fmt::format("moat-dpdk speaks version {} of the channel and ABI {}, not {} and {}",
                          hello->version, hello->abi, channel_version, MOAT_ABI),
              "install moatd and moat-dpdk of one version"});
  hello_ = *hello;
  auto account = Account::map(std::move(message.file()));
  if (!account) return std::unexpected(account.error());
  account_ = std::move(*account);
  return {};
}

bool ChannelClient::keep_drops(const Message& message) {
  const auto* drops = message.as<DropsMessage>();
  if (drops == nullptr || drops->count > DropsMessage::max_drops) return false;
  for (std::uint32_t i = 0; i < drops->count; i++) {
    if (drops_.size() < max_drops)
      drops_.push_back(drops->drop[i]);
    else
      lost_drops_ += drops->drop[i].packets;
  }
  return true;
}

// Answers to requests that were given up on may still come.
Result<std::optional<Message>> ChannelClient::answer() {
  for (;;) {
    auto received = channel_.receive();
    if (!received || !*received) return received;
    Message& message = **received;
    if (!is_greeted()) {
      if (auto taken = take_hello(message); !taken) return std::unexpected(taken.error());
    } else if (!keep_drops(message) && message.header().request == requests_) {
      return received;
    }
  }
}

Result<Message> ChannelClient::await_answer() {
  const auto end = Steady::now() + patience_;
  for (;;) {
    auto message = answer();
    if (!message) return std::unexpected(message.error());
    if (*message) return std::move(**message);
    if (!is_readable(fd(), end))
      return std::unexpected(Error{"no answer on the fast path's channel in time", {}});
  }
}

template <typename Answer>
Result<Message> ChannelClient::await_answer_as() {
  auto message = await_answer();
  if (!message) return message;
  if (const auto* refused = message->as<RefusedMessage>())
    return std::unexpected(refusal_of(*refused));
  if (message->as<Answer>() == nullptr) return unknown_words();
  return message;
}

Result<> ChannelClient::ask(const TableName& name, int file) {
  return channel_.send(PublishMessage{.header = {}, .table = name}, ++requests_, file);
}

Result<> ChannelClient::ask_publish(const Table& table) {
  auto memfd = seal_table(table);
  if (!memfd) return std::unexpected(memfd.error());
  const moat_table& header = table.header();
  return ask({header.generation, header.digest, header.size}, memfd->get());
}

Result<> ChannelClient::ask_status() { return channel_.send(AskStatusMessage{}, ++requests_); }

Result<> ChannelClient::publish(const Table& table) {
  if (auto asked = ask_publish(table); !asked) return asked;
  auto answer = await_answer_as<PublishedMessage>();
  if (!answer) return std::unexpected(answer.error());
  return {};
}

Result<> ChannelClient::publish(const TableName& name, int file) {
  if (auto asked = ask(name, file); !asked) return asked;
  auto answer = await_answer_as<PublishedMessage>();
  if (!answer) return std::unexpected(answer.error());
  return {};
}

Result<Table> ChannelClient::table() {
  if (auto sent = channel_.send(AskTableMessage{}, ++requests_); !sent)
    return std::unexpected(sent.error());
  auto answer = await_answer_as<TableMessage>();
  if (!answer) return std::unexpected(answer.error());
  return open_sealed_table(answer->file());
}

Result<StatusMessage> ChannelClient::status() {
  if (auto asked = ask_status(); !asked) return std::unexpected(asked.error());
  auto answer = await_answer_as<StatusMessage>();
  if (!answer) return std::unexpected(answer.error());
  return *answer->as<StatusMessage>();
}

void ChannelClient::take_drops(const std::function<void(const moat_drop&)>& callback) {
  for (; !drops_.empty(); drops_.pop_front()) callback(drops_.front());
}

Result<> ChannelClient::read_drops(const std::function<void(const moat_drop&)>& callback) {
  Result<> read;
  for (;;) {
    auto message = answer();  // what else comes is an answer that nobody waits for
    if (!message) read = std::unexpected(message.error());
    if (!message || !*message) break;
  }
  take_drops(callback);
  return read;
}

}  // namespace moat
