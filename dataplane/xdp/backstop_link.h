// SPDX-License-Identifier: BSD-2-Clause
// The backstop: its program at sockets, its program before them, and the maps by which both know
// the interfaces and the one at sockets what was on the wire. Each program is on whatever becomes
// of the other.
#pragma once

#include <string>
#include <vector>

#include "dataplane/backend.h"
#include "dataplane/error.h"
#include "dataplane/xdp/bpf_pins.h"
#include "dataplane/xdp/cgroup_link.h"
#include "dataplane/xdp/input_link.h"
#include "dataplane/xdp/interface_map.h"
#include "dataplane/xdp/wire_notes.h"
#include "dataplane/xdp/xdp_program.h"

namespace moat {

class BackstopLink {
 public:
  // Takes over the links that are pinned.
  explicit BackstopLink(BpfPins pins);

  // Has the programs, with these maps, on and pinned; those of an earlier daemon are replaced.
  // `cgroup` empty: all sockets, and before them as well, where the kernel has a place for that;
  // else the program there only takes notes. If
  // `interfaces` could not be learnt, what was last known of them stays.
  [[nodiscard]] BackstopStatus ensure(const std::vector<NamedMap>& maps, const std::string& cgroup,
                                      const Result<KnownInterfaces>& interfaces);

  // Whether it judged for all sockets, when it was last seen to.
  [[nodiscard]] bool is_on() const { return is_on_; }

  // Takes it off.
  void remove();

  [[nodiscard]] Result<> ensure_pins();

 private:
  [[nodiscard]] BackstopStatus ensure_parts(const std::vector<NamedMap>& maps,
                                            const std::string& cgroup,
                                            const Result<KnownInterfaces>& interfaces);
  [[nodiscard]] Result<> tell(const Result<KnownInterfaces>& interfaces, BackstopStatus& status);
  void ensure_at(const BackstopMaps& maps, const std::string& cgroup, BackstopStatus& status);
  void ensure_before(const BackstopMaps& maps, bool judges, BackstopStatus& status);
  void ensure_notes(bool are_taken_before, BackstopStatus& status);

  InterfaceMap interfaces_;
  WireNotes notes_;
  CgroupLink at_sockets_;
  InputLink before_sockets_;
  bool is_on_ = false;
};

}  // namespace moat
