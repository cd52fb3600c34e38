// SPDX-License-Identifier: BSD-2-Clause
// Ends the sessions of peers that the live generation does not allow, so that a database sees the
// end at once instead of holding locks until keepalive gives up.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "control/policy.h"
#include "dataplane/error.h"
#include "dataplane/sessions.h"
#include "dataplane/table.h"

namespace moat {

// The live generation: `image` is compiled from `policy`, whose databases have its numbers.
struct Generation {
  const Policy& policy;
  const Image& image;
  std::uint64_t now = 0;  // CLOCK_MONOTONIC, ns
};

// The ports on which sessions may have to end.
[[nodiscard]] LocalPorts guarded_ports(const Policy& policy);

// Whether the generation lets the packets of this session's peer pass: as the packet path does, so
// that monitor mode ends nothing, and no IPv6 peer keeps a guarded port. The host itself may
// always.
[[nodiscard]] bool may_stay(const Generation& live, const Session& session);

// How many were ended. `trusted`: names of interfaces whose peers are exempt.
[[nodiscard]] Result<unsigned> cut_sessions(const Generation& live,
                                            const std::vector<std::string>& trusted);

}  // namespace moat
