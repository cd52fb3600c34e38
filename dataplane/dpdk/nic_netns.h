// SPDX-License-Identifier: BSD-2-Clause
// The network namespace that the NIC of the fast path stands in, alone. It has no addresses, so
// what the kernel there gets of a frame reaches no socket: neither its own copy of each (af_packet)
// nor all of them once a dead worker has left its program (af_xdp). It has a name in /run/netns and
// outlives the worker; without that the NIC would fall back to the host.
#pragma once

#include <optional>
#include <string>

#include "dataplane/error.h"
#include "dataplane/fd.h"

namespace moat {

// A network namespace, by a file of it; entered for as long as a Visit lasts, by this thread.
class Netns {
 public:
  // The one that this thread is in.
  [[nodiscard]] static Result<Netns> current();
  // The one of that name, made if there is none.
  [[nodiscard]] static Result<Netns> make(const std::string& name);

  // Makes sure that no address is there, in the one that this thread is in.
  [[nodiscard]] static Result<> close_to_sockets(const std::string& name);

  [[nodiscard]] int fd() const { return file_.get(); }

 private:
  explicit Netns(Fd file) : file_(std::move(file)) {}
  Fd file_;
};

class Visit {
 public:
  // Ends the process where this thread cannot get back: it must not go on elsewhere.
  [[nodiscard]] static Result<Visit> begin(const Netns& there, const Netns& home);
  Visit(Visit&& other) noexcept : home_(std::exchange(other.home_, -1)) {}
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;
  Visit& operator=(Visit&&) = delete;
  ~Visit();

 private:
  explicit Visit(int home) : home_(home) {}
  int home_ = -1;
};

}  // namespace moat
