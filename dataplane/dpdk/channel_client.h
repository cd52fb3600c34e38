// SPDX-License-Identifier: BSD-2-Clause
// moatd's end of the channel.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <string>

#include "dataplane/dpdk/account.h"
#include "dataplane/dpdk/channel.h"
#include "dataplane/table/table.h"

namespace moat {

class ChannelClient {
 public:
  // How long an answer may take: a worker swaps within milliseconds; one that is stopped never
  // does.
  static constexpr std::chrono::milliseconds usual_patience{5000};

  // Errors: no worker listens, it is of another version or of another user, or has a moatd.
  [[nodiscard]] static Result<ChannelClient> connect(
      const std::string& path, std::chrono::milliseconds patience = usual_patience);

  // What the worker said first; `live` is as it was then.
  [[nodiscard]] const HelloMessage& hello() const { return hello_; }
  // Also of workers that were here before; readable still when this one is gone.
  [[nodiscard]] const Account& account() const { return account_; }
  // Readable when there are drops, or the worker is gone.
  [[nodiscard]] int fd() const { return channel_.fd(); }

  // After an error of these the worker may be gone; then connect anew. Where it only refuses, as
  // its words say, the channel goes on.

  // Returns when no lcore uses the table before.
  [[nodiscard]] Result<> publish(const Table& table);
  // As publish() with a file of one's own making, for tests.
  [[nodiscard]] Result<> publish(const TableName& name, int file);
  // The live table.
  [[nodiscard]] Result<Table> table();
  [[nodiscard]] Result<StatusMessage> status();
  // Calls back for each drop that is there, the oldest first.
  [[nodiscard]] Result<> read_drops(const std::function<void(const moat_drop&)>& callback);

 private:
  explicit ChannelClient(Fd socket) : channel_(std::move(socket)) {}
  [[nodiscard]] Result<> hear_hello();
  template <typename Answer>
  [[nodiscard]] Result<Message> answer_to(std::uint32_t request);
  [[nodiscard]] bool keep_drops(const Message& message);

  Channel channel_;
  HelloMessage hello_ = {};
  Account account_;
  std::uint32_t requests_ = 0;
  std::deque<moat_drop> drops_;  // that came while an answer was waited for
};

}  // namespace moat
