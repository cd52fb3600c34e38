// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/dpdk/channel_client.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>

#include "dataplane/dpdk/sealed_table.h"
#include "dataplane/dpdk/unix_address.h"

namespace moat {
namespace {

std::unexpected<Error> unknown_words() {
  return std::unexpected(
      Error{"moat-dpdk says something unknown", "install moatd and moat-dpdk of one version"});
}

Error refusal_of(const RefusedMessage& message) { return {message.message, message.remedy}; }

}  // namespace

Result<ChannelClient> ChannelClient::connect(const std::string& path,
                                             std::chrono::milliseconds patience) {
  const auto address = unix_address(path);
  if (!address) return std::unexpected(address.error());
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  const timeval timeout = {.tv_sec = patience.count() / 1000,
                           .tv_usec = patience.count() % 1000 * 1000};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0)
    return std::unexpected(Error{fmt::format("reach moat-dpdk at {}: {}", path, errno_words(errno)),
                                 "start moat-dpdk"});
  ChannelClient client(std::move(socket));
  if (auto allowed = client.channel_.check_peer(); !allowed)
    return std::unexpected(allowed.error());
  if (auto heard = client.hear_hello(); !heard) return std::unexpected(heard.error());
  return client;
}

Result<> ChannelClient::hear_hello() {
  auto message = channel_.receive(Channel::Wait::yes);
  if (!message) return std::unexpected(message.error());
  if (const auto* refused = (*message)->as<RefusedMessage>())
    return std::unexpected(refusal_of(*refused));
  const auto* hello = (*message)->as<HelloMessage>();
  if (hello == nullptr) return unknown_words();
  if (hello->version != channel_version || hello->abi != MOAT_ABI)
    return std::unexpected(
        Error{fmt::format("moat-dpdk speaks version {} of the channel and ABI {}, not {} and {}",
                          hello->version, hello->abi, channel_version, MOAT_ABI),
              "install moatd and moat-dpdk of one version"});
  hello_ = *hello;
  auto account = Account::map(std::move((*message)->file()));
  if (!account) return std::unexpected(account.error());
  account_ = std::move(*account);
  return {};
}

bool ChannelClient::keep_drops(const Message& message) {
  const auto* drops = message.as<DropsMessage>();
  if (drops == nullptr || drops->count > DropsMessage::max_drops) return false;
  drops_.insert(drops_.end(), drops->drop, drops->drop + drops->count);
  return true;
}

// Answers to requests that were given up on may still come.
template <typename Answer>
Result<Message> ChannelClient::answer_to(std::uint32_t request) {
  for (;;) {
    auto received = channel_.receive(Channel::Wait::yes);
    if (!received) return std::unexpected(received.error());
    Message& message = **received;
    if (keep_drops(message)) continue;
    if (message.header().request != request) continue;
    if (const auto* refused = message.as<RefusedMessage>())
      return std::unexpected(refusal_of(*refused));
    if (message.as<Answer>() == nullptr) return unknown_words();
    return std::move(message);
  }
}

Result<> ChannelClient::publish(const Table& table) {
  auto memfd = seal_table(table);
  if (!memfd) return std::unexpected(memfd.error());
  const moat_table& header = table.header();
  return publish({header.generation, header.digest, header.size}, memfd->get());
}

Result<> ChannelClient::publish(const TableName& name, int file) {
  const std::uint32_t request = ++requests_;
  if (auto sent = channel_.send(PublishMessage{.header = {}, .table = name}, request, file); !sent)
    return sent;
  auto answer = answer_to<PublishedMessage>(request);
  if (!answer) return std::unexpected(answer.error());
  return {};
}

Result<Table> ChannelClient::table() {
  const std::uint32_t request = ++requests_;
  if (auto sent = channel_.send(AskTableMessage{}, request); !sent)
    return std::unexpected(sent.error());
  auto answer = answer_to<TableMessage>(request);
  if (!answer) return std::unexpected(answer.error());
  return open_sealed_table(answer->file());
}

Result<StatusMessage> ChannelClient::status() {
  const std::uint32_t request = ++requests_;
  if (auto sent = channel_.send(AskStatusMessage{}, request); !sent)
    return std::unexpected(sent.error());
  auto answer = answer_to<StatusMessage>(request);
  if (!answer) return std::unexpected(answer.error());
  return *answer->as<StatusMessage>();
}

Result<> ChannelClient::read_drops(const std::function<void(const moat_drop&)>& callback) {
  Result<> read;
  for (;;) {
    auto received = channel_.receive(Channel::Wait::no);
    if (!received) read = std::unexpected(received.error());
    if (!received || !*received) break;
    (void)keep_drops(**received);  // what else comes is an answer that nobody waits for
  }
  for (; !drops_.empty(); drops_.pop_front()) callback(drops_.front());
  return read;
}

}  // namespace moat
