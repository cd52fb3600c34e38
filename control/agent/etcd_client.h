// SPDX-License-Identifier: BSD-2-Clause
// Calls to an etcd cluster: to a member that answers, with a token where it wants one.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "control/agent/agent_file.h"
#include "control/agent/fetcher.h"

namespace moat {

// The requests of both kinds of client: of one that waits, and of one that does not.
class EtcdAccess {
 public:
  explicit EtcdAccess(FleetSettings settings) : settings_(std::move(settings)) {}

  [[nodiscard]] FetchRequest request(const std::string& path, std::string body) const;
  [[nodiscard]] bool needs_token() const { return !settings_.user.empty() && token_.empty(); }
  // To be answered before anything else.
  [[nodiscard]] Result<FetchRequest> token_request() const;
  [[nodiscard]] Result<> take_token(const Result<FetchAnswer>& answer);
  void forget_token() { token_.clear(); }
  [[nodiscard]] bool has_token() const { return !token_.empty(); }
  // The next member is asked from now on.
  void turn_to_next() { member_ = (member_ + 1) % settings_.endpoints.size(); }
  [[nodiscard]] std::size_t members() const { return settings_.endpoints.size(); }
  [[nodiscard]] const std::string& member() const { return settings_.endpoints[member_]; }

 private:
  FleetSettings settings_;
  std::size_t member_ = 0;
  std::string token_;
};

// The body of an answer that is a success.
[[nodiscard]] Result<std::string> body_of(const std::string& member,
                                          const Result<FetchAnswer>& answer);
[[nodiscard]] bool wants_authentication(const Result<FetchAnswer>& answer);

class EtcdClient {
 public:
  using Done = std::function<void(const Result<std::string>&)>;
  using OnLine = std::function<void(const std::string&)>;

  // `fetcher` must outlive this.
  EtcdClient(Fetcher& fetcher, const FleetSettings& settings);
  // What is under way is given up.
  ~EtcdClient();
  EtcdClient(const EtcdClient&) = delete;
  EtcdClient& operator=(const EtcdClient&) = delete;

  // Each member is tried once. `done` is never called from within.
  void call(const std::string& path, std::string body, Done done);
  // One at a time: the stream before ends. `ended` tells why it ended, unless it was stopped.
  void watch(std::string body, OnLine on_line, std::function<void(const Error&)> ended);
  void stop_watching() {
    stream_.reset();
    line_.clear();
  }
  // The next member is asked from now on.
  void turn_to_next() { access_.turn_to_next(); }
  [[nodiscard]] const std::string& member() const { return access_.member(); }

 private:
  struct Call {
    std::string path;
    std::string body;
    Done done;
    std::size_t tries_left = 0;
    bool has_renewed_token = false;
    std::unique_ptr<Fetcher::Transfer> transfer;
  };

  void send(std::uint64_t id);
  void authenticate(std::uint64_t id);
  void take(std::uint64_t id, const Result<FetchAnswer>& answer);
  void finish(std::uint64_t id, const Result<std::string>& result);

  Fetcher& fetcher_;
  EtcdAccess access_;
  std::map<std::uint64_t, Call> calls_;
  std::uint64_t next_id_ = 0;
  std::unique_ptr<Fetcher::Transfer> stream_;
  std::string line_;  // of the stream, as far as it has come
};

}  // namespace moat
