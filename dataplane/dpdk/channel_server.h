// SPDX-License-Identifier: BSD-2-Clause
// moat-dpdk's end of the channel.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>

#include "dataplane/dpdk/account.h"
#include "dataplane/dpdk/channel.h"
#include "dataplane/table/table.h"

namespace moat {

class ChannelServer {
 public:
  // What moatd asks of the worker.
  struct Worker {
    // Returns when no lcore uses the table before. On an error that one is still live.
    std::function<Result<>(Table table, Fd memfd)> publish;
    std::function<TableName()> live;
    std::function<int()> table;  // the memfd of the live one, or -1
    std::function<StatusMessage()> status;
  };

  // Listens at `path`, for root and this process's user. Errors: another worker listens there.
  // `hello` is what moatd is told first, but for `live`.
  [[nodiscard]] static Result<ChannelServer> listen(const std::string& path,
                                                    const HelloMessage& hello,
                                                    const Account& account, Worker worker);

  // To wait on, both for reading; connection() is -1 while nobody is connected.
  [[nodiscard]] int listener() const { return listener_.get(); }
  [[nodiscard]] int connection() const { return moatd_ ? moatd_->fd() : -1; }

  // Call when there is something to read. What went wrong with moatd is for the log; the server
  // goes on.
  [[nodiscard]] Result<> accept();
  [[nodiscard]] Result<> serve();

  // How many of these moatd has been given: all, none, or as many as it has room for.
  [[nodiscard]] std::size_t send_drops(std::span<const moat_drop> drops);

 private:
  [[nodiscard]] Result<> greet();
  [[nodiscard]] Result<> answer(Message& message);
  [[nodiscard]] Result<> publish(const PublishMessage& request, Fd file);
  [[nodiscard]] Result<> refuse(std::uint32_t request, const Error& error);

  Fd listener_;
  std::optional<Channel> moatd_;
  HelloMessage hello_ = {};
  const Account* account_ = nullptr;
  Worker worker_;
};

}  // namespace moat
