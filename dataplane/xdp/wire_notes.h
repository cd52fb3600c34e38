// SPDX-License-Identifier: BSD-2-Clause
// What was on the wire of a packet, before NAT, for the backstop's program at sockets: the map of
// notes, and the program that takes them where there is none before sockets to do so, at the
// kernel's functions that TCP over IPv4 and IPv6 comes in by (fentry). Pinned.
#pragma once

#include <array>
#include <utility>

#include "dataplane/error.h"
#include "dataplane/fd.h"
#include "dataplane/xdp/bpf_pins.h"

namespace moat {

class WireNotes {
 public:
  explicit WireNotes(BpfPins pins) : pins_(std::move(pins)) {}

  // Has the map. It is an earlier daemon's, if that left one of this shape: what that one attached
  // takes notes in it until it is replaced.
  [[nodiscard]] Result<> ensure();

  [[nodiscard]] int fd() const { return map_.get(); }

  // Has the program on; one of an earlier daemon stays on until then. Errors: this kernel lets no
  // program look on there.
  [[nodiscard]] Result<> ensure_program();

  // Takes that off.
  void remove_program();

  [[nodiscard]] Result<> ensure_pins();

  // Takes off the program, and leaves the map to those that still use it.
  void remove();

 private:
  BpfPins pins_;
  Fd map_;
  std::array<Fd, 2> links_;  // IPv4, IPv6
};

}  // namespace moat
