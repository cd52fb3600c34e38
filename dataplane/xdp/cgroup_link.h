// SPDX-License-Identifier: BSD-2-Clause
// The backstop's program at sockets: loaded with the maps of the packet path, attached to a cgroup,
// pinned.
#pragma once

#include <string>

#include "dataplane/error.h"
#include "dataplane/fd.h"
#include "dataplane/xdp/backstop_maps.h"
#include "dataplane/xdp/bpf_pins.h"

namespace moat {

class CgroupLink {
 public:
  // Takes over the link that is pinned.
  explicit CgroupLink(BpfPins pins);

  struct Attached {
    std::string cgroup;  // its folder
    std::string mended;  // what somebody had done to it since it was last seen to
    std::string gap;     // why it is not at all sockets, though it should be; empty: it is
  };
  // Has the program on that cgroup (empty: the root, wherever cgroup2 is mounted, or, in a cgroup
  // namespace that does not show the root, what of the hierarchy is there); one of an earlier
  // daemon is replaced in place.
  [[nodiscard]] Result<Attached> ensure(const BackstopMaps& maps, const std::string& cgroup);

  // Whether the program compares names before it trusts. Else the kernel would not have it so.
  [[nodiscard]] bool knows_names() const { return knows_names_; }

  // Takes it off.
  void remove();

  [[nodiscard]] Result<> ensure_pins();

 private:
  [[nodiscard]] Result<> load(const BackstopMaps& maps);
  [[nodiscard]] Result<Attached> ensure_on(const BackstopMaps& maps, const std::string& cgroup);
  // What there was to mend.
  [[nodiscard]] Result<std::string> attach(const std::string& cgroup, bool is_for_all);

  BpfPins pins_;
  Fd link_;
  Fd program_;
  bool knows_names_ = true;
  bool was_on_ = false;  // when it was last seen to; not what an earlier daemon left
  // What was found at the beginning: no daemon had seen to it since somebody had been at it.
  bool was_swapped_ = false;
  bool was_taken_off_ = false;
};

}  // namespace moat
