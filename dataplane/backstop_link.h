// SPDX-License-Identifier: BSD-2-Clause
// The backstop: its program on a cgroup, loaded with the maps of the packet path, attached, pinned,
// and told which interfaces it need not look at; and where it is for all sockets, its program
// before them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "dataplane/bpf_pins.h"
#include "dataplane/error.h"
#include "dataplane/fd.h"
#include "dataplane/input_link.h"
#include "dataplane/xdp_program.h"

namespace moat {

// How the backstop is, not how it was meant to be.
struct BackstopStatus {
  bool on = false;
  std::string cgroup;  // folder of the cgroup it is attached to
  std::string reason;  // why it is off
  std::string mended;  // what somebody had done to it since it was last seen to
  // Whether packets are judged before a socket is looked for, too; or why not.
  bool before_sockets = false;
  std::string not_before;
};

// MOAT_INTERFACE_* by ifindex.
using InterfaceFlags = std::map<std::uint32_t, std::uint32_t>;

class BackstopLink {
 public:
  // Takes over the links that are pinned.
  explicit BackstopLink(BpfPins pins);

  // Has the program, with these maps, on the cgroup, pinned; a program of an earlier daemon is
  // replaced in place. `cgroup` empty: the root of the cgroup2 filesystem, wherever that is
  // mounted, and the program before sockets as well, where the kernel has a place for it.
  [[nodiscard]] BackstopStatus ensure(const std::vector<NamedMap>& maps, const std::string& cgroup,
                                      const InterfaceFlags& interfaces);

  // Takes it off.
  void remove();

  // True if a pin was missing.
  [[nodiscard]] Result<bool> ensure_pins();

 private:
  [[nodiscard]] Result<> load(const std::vector<NamedMap>& maps);
  // What there was to mend.
  [[nodiscard]] Result<std::string> attach(const std::string& cgroup);
  [[nodiscard]] Result<> tell(const InterfaceFlags& interfaces);
  void ensure_input(const std::vector<NamedMap>& maps, bool is_wanted, BackstopStatus& status);

  BpfPins pins_;
  InputLink input_;
  Fd link_;
  Fd program_;
  Fd interfaces_;
  bool was_on_ = false;  // when it was last seen to; not what an earlier daemon left
};

// Where cgroup2 is mounted, as mountinfo has it.
[[nodiscard]] Result<std::string> find_cgroup2();

}  // namespace moat
