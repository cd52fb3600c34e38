// SPDX-License-Identifier: BSD-2-Clause
// Ends the sessions of peers that the live generation does not allow, so that a database sees the
// end at once instead of holding locks until keepalive gives up.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "control/policy/policy.h"
#include "dataplane/backend.h"
#include "dataplane/error.h"
#include "dataplane/host/conntrack.h"
#include "dataplane/host/sessions.h"
#include "dataplane/table/table.h"

namespace moat {

// The live generation: `table` is compiled from `policy`, whose databases have its numbers.
struct Generation {
  const Policy& policy;
  const Table& table;
  std::uint64_t now = 0;  // CLOCK_MONOTONIC, ns
};

// The ports on which sessions may have to end.
[[nodiscard]] LocalPorts guarded_ports(const Policy& policy);

// Whether the generation lets the packets of this session's peer pass: as the packet path does, so
// that monitor mode ends nothing, and no IPv6 peer keeps a guarded port. The host itself may
// always.
[[nodiscard]] bool may_stay(const Generation& live, const Session& session);

// The same of a session that NAT has changed. The source on the wire decides, and either of the two
// destinations may be what ends it: that on the wire, and what NAT made of it.
[[nodiscard]] bool may_stay(const Generation& live, const Translation& session);

// Names of interfaces.
struct SessionInterfaces {
  const std::vector<std::string>& trusted;  // sessions that come in by these are exempt
  const std::vector<std::string>& guarded;  // by these the packet path drops what is forwarded, too
};

struct EndedSessions {
  unsigned count = 0;
  std::vector<Session> sessions;  // as they were on the wire; without those in TIME_WAIT
  // Why sessions that should have ended may go on; empty: none do.
  std::string doubt;
};

// Ends what may not stay. A session with a socket of this network namespace ends with that,
// whatever port NAT leads it to; of one that NAT forwards (to a container) the translation is
// forgotten.
//
// A session whose other end is a socket of this host stays. `path` tells by which interface one
// comes in, and is asked only if something is to end and more than loopback is trusted. Where it
// cannot tell, the session stays: it would be wrong to end one that is exempt, while the packets of
// one that is not are dropped in any case.
[[nodiscard]] Result<EndedSessions> end_sessions(const Generation& live,
                                                 const SessionInterfaces& interfaces,
                                                 PacketPath& path);

struct GuardedSession {
  Session session;      // as it is on the wire
  bool exempt = false;  // no rule is asked: of the host with itself, or by a trusted interface
};

// Who is connected to what `policy` guards, with how long they have been idle.
[[nodiscard]] Result<std::vector<GuardedSession>> guarded_sessions(
    const Policy& policy, const SessionInterfaces& interfaces, PacketPath& path);

}  // namespace moat
