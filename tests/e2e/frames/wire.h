// SPDX-License-Identifier: BSD-2-Clause
// The far end of a wire to a database host, and what that host makes of frames that are sent along
// it. Nothing here waits for a time: a ping follows the frame, and as both go through one queue,
// its echo says that the frame has been dealt with.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/error.h"
#include "dataplane/fd.h"
#include "tests/e2e/frames/answer.h"

namespace moat::testing {

class Wire {
 public:
  // `far` and `host` are network namespaces, by path, `interface` the end of the wire in `far`. The
  // calling thread is in `host` from then on, and on one CPU, or frames could overtake one another.
  [[nodiscard]] static Result<Wire> open(const std::string& far, const std::string& interface,
                                         const std::string& host);

  // False where no wire takes such a frame: it is shorter than an Ethernet header or beyond the
  // MTU.
  [[nodiscard]] Result<bool> send(Bytes frame);

  // All that the host has said since the last time, once it has dealt with all that was sent.
  [[nodiscard]] Result<std::vector<Answer>> settle();

  // How many segments the host's TCP has been handed, for IPv4 and IPv6 together.
  [[nodiscard]] Result<std::uint64_t> segments() const;

 private:
  Wire() = default;
  void hear(int fd, bool is_loopback, std::vector<Answer>& said);

  Fd far_;       // frames both ways
  Fd loopback_;  // what the host says to addresses that it takes for its own
  Fd statistics_;
  Ping ping_{};
  bool echoed_ = false;
};

// Listening sockets on all addresses of the calling thread's network namespace, IPv4 and IPv6, that
// take what TPROXY hands them.
class Listeners {
 public:
  [[nodiscard]] static Result<Listeners> open(std::vector<std::uint16_t> ports);

  // Accepts what there is, ends it with an RST, and says how many there were.
  [[nodiscard]] int accept_all();
  // New ones in their place: half-open connections end with the socket that they are for.
  [[nodiscard]] Result<> renew();

 private:
  std::vector<std::uint16_t> ports_;
  std::vector<Fd> sockets_;
};

}  // namespace moat::testing
