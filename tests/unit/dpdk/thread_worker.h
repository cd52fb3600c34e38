// SPDX-License-Identifier: BSD-2-Clause
// The worker's end of the channel, over a real socket, in a thread of its own.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/dpdk/channel_server.h"

namespace moat {

inline TableName name_of(const Table& table) {
  return {table.header().generation, table.header().digest, table.header().size};
}

class ThreadWorker {
 public:
  explicit ThreadWorker(const std::string& folder, std::uint32_t version = channel_version)
      : account_(Account::open(folder + "/account", 2).value()) {
    const HelloMessage hello = {
        .version = version, .abi = MOAT_ABI, .pid = 4711, .lcores = 2, .ifindex = 1};
    ChannelServer::Worker worker = {
        .publish = [this](Table next, Fd file) { return swap(std::move(next), std::move(file)); },
        .live = [this] { return table ? name_of(table) : TableName{}; },
        .table = [this] { return table ? memfd_.get() : -1; },
        .status = [this] { return status(); }};
    server.emplace(ChannelServer::listen(folder + "/socket", hello, account_, worker).value());
    thread_ = std::thread([this] { serve(); });
  }
  ThreadWorker(const ThreadWorker&) = delete;
  ThreadWorker& operator=(const ThreadWorker&) = delete;
  ~ThreadWorker() {
    ::eventfd_write(stopping_.get(), 1);
    thread_.join();
  }

  // Whoever has it keeps the worker from answering, and may look at all of this.
  [[nodiscard]] std::unique_lock<std::mutex> stop() { return std::unique_lock(mutex_); }
  [[nodiscard]] const Account& account() const { return account_; }

  std::optional<ChannelServer> server;
  Table table;
  unsigned published = 0;
  std::optional<Error> refusal;
  std::uint64_t damage = 0;  // of the digest that it tells
  std::string said;

 private:
  Result<> swap(Table next, Fd file) {
    if (refusal) return std::unexpected(*refusal);
    table = std::move(next);
    memfd_ = std::move(file);
    damage = 0;
    published++;
    return {};
  }

  [[nodiscard]] StatusMessage status() const {
    StatusMessage status = {};
    if (table) status.live = name_of(table);
    status.live.digest ^= damage;
    put_text(status.nic.name, "net_null0");
    status.nic.is_present = status.kernel_port.is_present = 1;
    status.nic.mtu = 1500;
    return status;
  }

  void serve() {
    for (;;) {
      pollfd fds[] = {{stopping_.get(), POLLIN, 0}, {-1, POLLIN, 0}, {-1, POLLIN, 0}};
      {
        const std::scoped_lock lock(mutex_);
        fds[1].fd = server->listener();
        fds[2].fd = server->connection();
      }
      ::poll(fds, 3, -1);
      if (fds[0].revents != 0) return;
      const std::scoped_lock lock(mutex_);
      if (fds[1].revents != 0) note(server->accept());
      if (fds[2].revents != 0) note(server->serve());
    }
  }
  void note(const Result<>& result) {
    if (!result) said += result.error().message + "\n";
  }

  Account account_;
  std::mutex mutex_;
  Fd memfd_;
  Fd stopping_{::eventfd(0, EFD_CLOEXEC)};
  std::thread thread_;
};

}  // namespace moat
