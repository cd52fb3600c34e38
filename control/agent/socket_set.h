// SPDX-License-Identifier: BSD-2-Clause
// Sockets of a library that wants to be told when they are ready, as one descriptor for the event
// loop: an epoll set is itself readable while something in it is ready.
#pragma once

#include <vector>

#include "dataplane/error.h"
#include "dataplane/fd.h"

namespace moat {

class SocketSet {
 public:
  struct Ready {
    int socket = -1;
    bool readable = false;
    bool writable = false;
    bool failed = false;
  };

  [[nodiscard]] static Result<SocketSet> open();

  [[nodiscard]] int fd() const { return epoll_.get(); }
  // Replaces what was waited for on that socket; neither: nothing any more.
  void wait_for(int socket, bool readable, bool writable);
  // Those that are ready now; does not wait.
  [[nodiscard]] std::vector<Ready> ready() const;

 private:
  explicit SocketSet(Fd epoll) : epoll_(std::move(epoll)) {}
  Fd epoll_;
};

}  // namespace moat
