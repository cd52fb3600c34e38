// SPDX-License-Identifier: BSD-2-Clause
// The backstop's program before sockets, for IPv4 and for IPv6: loaded with the maps of the packet
// path, attached to netfilter's LOCAL_IN hook of this network namespace, pinned.
//
// Such a link cannot be given another program, and does not tell whether somebody has detached it.
// So there are two places (priorities) in the hook, in each of which the kernel admits one program:
// a new program goes to the free one before the old one leaves its own, and a link that finds its
// place free has been taken off.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "dataplane/error.h"
#include "dataplane/fd.h"
#include "dataplane/xdp/backstop_maps.h"
#include "dataplane/xdp/bpf_pins.h"

namespace moat {

class InputLink {
 public:
  // Takes over the links that are pinned.
  explicit InputLink(BpfPins pins);

  // Has the program on; one of an earlier daemon is replaced. If it is not to judge, it only takes
  // notes for the one at sockets. True if somebody had taken it off since it was last seen to.
  // Errors: has_place() is false, or this kernel refuses.
  [[nodiscard]] Result<bool> ensure(const BackstopMaps& maps, bool judges);

  // Whether the program may read the kernel's memory, and so knows names and what NAT changed.
  [[nodiscard]] bool reads_kernel() const { return reads_kernel_; }

  // Whether this kernel takes programs for netfilter's hooks: from Linux 6.4 on, with
  // NETFILTER_BPF_LINK.
  [[nodiscard]] static bool has_place();

  // Takes it off.
  void remove();

  [[nodiscard]] Result<> ensure_pins();

 private:
  struct Family {
    std::uint32_t number;  // NFPROTO_*
    const char* pin;
    Fd link;
  };

  [[nodiscard]] Result<> load(const BackstopMaps& maps);
  [[nodiscard]] Result<bool> attach(Family& family);

  BpfPins pins_;
  std::array<Family, 2> families_;
  Fd program_;
  bool was_swapped_ = false;  // another program was in the place of an earlier daemon's
  // Of that program.
  bool judges_ = true;
  bool reads_kernel_ = true;
};

}  // namespace moat
