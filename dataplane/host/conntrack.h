// SPDX-License-Identifier: BSD-2-Clause
// TCP connections whose addresses or ports NAT has changed, by ctnetlink.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "dataplane/error.h"
#include "dataplane/host/sessions.h"

namespace moat {

struct Translation {
  Session wire;        // as its first packet had it: whom it came from, and where it wanted to
  Session translated;  // what NAT made of that: the addresses and ports of the socket it leads to
  bool forwarded = false;  // that socket is not in this network namespace
  // For the kernel, of a forwarded one: the attributes that name it.
  std::vector<char> name;
};

// Those in this network namespace of which `concerns` says yes. None, and nothing is asked of the
// kernel, where there is no connection tracking. Needs CAP_NET_ADMIN.
[[nodiscard]] Result<std::vector<Translation>> translations(
    const std::function<bool(const Translation&)>& concerns);

// Has the kernel forget forwarded ones: what their ends still send is not translated any more.
// Gives those that had not gone by themselves meanwhile.
[[nodiscard]] Result<std::vector<const Translation*>> forget(
    const std::vector<const Translation*>& translations);

}  // namespace moat
