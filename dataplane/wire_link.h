// SPDX-License-Identifier: BSD-2-Clause
// The program that notes for the backstop's program at sockets what was on the wire before NAT,
// where there is none before sockets that does so: at the kernel's functions that TCP over IPv4 and
// IPv6 comes in by (fentry), pinned.
#pragma once

#include <array>
#include <string>

#include "dataplane/bpf_pins.h"
#include "dataplane/error.h"
#include "dataplane/fd.h"

namespace moat {

class WireLink {
 public:
  explicit WireLink(BpfPins pins) : pins_(std::move(pins)) {}

  // Has it on, with this map of notes; one of an earlier daemon stays on until it is. Errors: this
  // kernel lets no program look on there.
  [[nodiscard]] Result<> ensure(int wires);

  // Takes it off.
  void remove();

  [[nodiscard]] Result<> ensure_pins();

 private:
  BpfPins pins_;
  std::array<Fd, 2> links_;  // IPv4, IPv6
};

}  // namespace moat
