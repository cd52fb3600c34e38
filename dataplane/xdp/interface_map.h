// SPDX-License-Identifier: BSD-2-Clause
// What the backstop's programs know of the interfaces of this network namespace: a map that they
// share, made anew by each daemon, so that whatever in it differs from what was written is somebody
// else's hand.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "bpf/abi.h"
#include "dataplane/error.h"
#include "dataplane/fd.h"
#include "dataplane/xdp/bpf_pins.h"

namespace moat {

// By ifindex. An entry names its interface, as the number is another's once that is gone.
using KnownInterfaces = std::map<std::uint32_t, moat_interface>;

class InterfaceMap {
 public:
  explicit InterfaceMap(BpfPins pins) : pins_(std::move(pins)) {}

  // Makes the map, if it is not there yet, for at most that many interfaces.
  [[nodiscard]] Result<> ensure(std::uint32_t room = MOAT_MAX_INTERFACES);

  // What somebody else changed, a sentence each, and what could not be written.
  struct Told {
    std::vector<std::string> mended;
    std::string problem;
  };
  // Has the map hold these and no others. What can be written is, whatever else cannot.
  [[nodiscard]] Told tell(const KnownInterfaces& interfaces);

  [[nodiscard]] int fd() const { return map_.get(); }

  // Does nothing without a map.
  [[nodiscard]] Result<> ensure_pin();

  void remove();

 private:
  [[nodiscard]] KnownInterfaces read() const;

  BpfPins pins_;
  Fd map_;
  KnownInterfaces written_;  // by us, and not refused
};

}  // namespace moat
