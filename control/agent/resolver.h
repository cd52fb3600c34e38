// SPDX-License-Identifier: BSD-2-Clause
// The A records of names, by c-ares on the event loop.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "control/os/event_loop.h"
#include "dataplane/address.h"
#include "dataplane/error.h"

namespace moat {

class Resolver {
 public:
  struct Answer {
    std::vector<Address> addresses;
    std::chrono::seconds ttl{0};  // the least of them
    bool is_validated = false;    // by DNSSEC, as the server says
  };
  using Done = std::function<void(const Result<Answer>&)>;

  // `server`: "ADDRESS" or "ADDRESS:PORT"; empty: those of resolv.conf. `loop` must outlive this.
  [[nodiscard]] static Result<std::unique_ptr<Resolver>> open(EventLoop& loop,
                                                              const std::string& server);
  // Questions that are open get no answer.
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // `done` is called once, never from within ask(). More than 64 addresses are an error.
  void ask(const std::string& name, Done done);

 private:
  struct Channel;
  Resolver();
  std::unique_ptr<Channel> channel_;
};

}  // namespace moat
