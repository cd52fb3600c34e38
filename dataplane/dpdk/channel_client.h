// SPDX-License-Identifier: BSD-2-Clause
// moatd's end of the channel. moatd itself waits for nothing: it asks, and takes what has come when
// there is something to read. What waits is for commands that have nothing else to do.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "dataplane/dpdk/account.h"
#include "dataplane/dpdk/channel.h"
#include "dataplane/table/table.h"

namespace moat {

class ChannelClient {
 public:
  // How long an answer may take: a worker swaps within milliseconds; one that is stopped never
  // does.
  static constexpr std::chrono::milliseconds usual_patience{5000};
  // Drops that are kept for read_drops(); what comes while there are so many is lost.
  static constexpr std::size_t max_drops = 16384;

  // Waits for nothing, so that the worker has not said anything yet: where it is stopped, the
  // kernel connects. Errors: no worker listens, or it is of another user.
  [[nodiscard]] static Result<ChannelClient> begin(const std::string& path);
  // Waits for what the worker says first, and lets the other waiting functions wait as long.
  // Errors: also that it is of another version or has a moatd.
  [[nodiscard]] static Result<ChannelClient> connect(
      const std::string& path, std::chrono::milliseconds patience = usual_patience);

  // Whether the worker has said something: then there are hello() and account().
  [[nodiscard]] bool is_greeted() const { return bool(account_); }
  // What the worker said first; `live` is as it was then.
  [[nodiscard]] const HelloMessage& hello() const { return hello_; }
  // Also of workers that were here before; readable still when this one is gone.
  [[nodiscard]] const Account& account() const { return account_; }
  // For when this one goes.
  [[nodiscard]] Account take_account() { return std::move(account_); }
  // Readable when there are drops or answers, or the worker is gone.
  [[nodiscard]] int fd() const { return channel_.fd(); }

  // These ask, one thing at a time, and do not wait for the answer.
  [[nodiscard]] Result<> ask_publish(const Table& table);
  [[nodiscard]] Result<> ask_status();
  // Takes in what has come. The answer to what was asked last, or nothing: it is not there yet.
  // Errors: the worker is gone, of another version, or has another moatd; connect anew.
  [[nodiscard]] Result<std::optional<Message>> answer();

  // These wait. After an error the worker may be gone; then connect anew. Where it only refuses, as
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
  // The same of those that answer() has taken in.
  void take_drops(const std::function<void(const moat_drop&)>& callback);
  [[nodiscard]] bool has_drops() const { return !drops_.empty(); }
  // Packets whose drops found no room.
  [[nodiscard]] std::uint64_t lost_drops() const { return lost_drops_; }

 private:
  explicit ChannelClient(Fd socket) : channel_(std::move(socket)) {}
  [[nodiscard]] Result<> ask(const TableName& name, int file);
  [[nodiscard]] Result<> take_hello(Message& message);
  [[nodiscard]] bool keep_drops(const Message& message);
  [[nodiscard]] Result<Message> await_answer();
  template <typename Answer>
  [[nodiscard]] Result<Message> await_answer_as();

  Channel channel_;
  std::chrono::milliseconds patience_ = usual_patience;
  HelloMessage hello_ = {};
  Account account_;
  std::uint32_t requests_ = 0;
  std::deque<moat_drop> drops_;
  std::uint64_t lost_drops_ = 0;
};

}  // namespace moat
