// SPDX-License-Identifier: BSD-2-Clause
// What is open on this host though one may think it guarded: ports that a change of the policy left
// open while something listens on them, and listeners that never were guarded.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "control/policy/policy.h"
#include "control/state/state.h"
#include "dataplane/host/sessions.h"

namespace moat {

// The ports that a database guards `before`, and `after` nobody, or another database that lets
// everybody reach them: by monitor mode, or by rules that let in half of all addresses or more.
[[nodiscard]] std::vector<ExposedPort> exposed_ports(const Policy& before, const Policy& after,
                                                     WallTime now);

// What is open that one may think guarded.
struct Opening {
  std::string database;
  std::string message;  // a sentence
  std::string remedy;   // empty: what helps is the same in any case
};

// Remembers them for as long as they are open and something listens.
class ExposedPorts {
 public:
  ExposedPorts() = default;
  // `ports`: as an earlier daemon remembered them.
  explicit ExposedPorts(std::vector<ExposedPort> ports) : ports_(std::move(ports)) {}

  // The policy was replaced; gives what that has left open, listened on or not.
  std::vector<ExposedPort> replace(const Policy& before, const Policy& after, WallTime now);

  [[nodiscard]] const std::vector<ExposedPort>& ports() const { return ports_; }

  // Those that are listened on; `policy`: the one in force. `addresses`: the host's own, as at
  // another nobody hears anything.
  [[nodiscard]] std::vector<Opening> open(const Policy& policy,
                                          const std::vector<Session>& listeners,
                                          const std::vector<Address>& addresses,
                                          WallTime now) const;

 private:
  std::vector<ExposedPort> ports_;
};

// Ports on which something listens for more than the host itself and which no database guards,
// ascending. A listener on all addresses counts as guarded if its port is guarded on all.
[[nodiscard]] std::vector<std::uint16_t> unguarded_listeners(const Policy& policy,
                                                             const std::vector<Session>& listeners);

// What the databases mean whose address the host does not have.
struct AbsentAddresses {
  std::vector<Opening> open;     // something listens at another address
  std::vector<Opening> standby;  // nothing does, as on a standby that the address moves to
};

// `addresses`: the host's own. With `ports: all`, of the listeners those on a database's usual port
// count: others, as of ssh, may be there for everybody.
[[nodiscard]] AbsentAddresses absent_addresses(const Policy& policy,
                                               const std::vector<Session>& listeners,
                                               const std::vector<Address>& addresses);

// For each database with `ports: all` whose file does not say what IPv6 is to be: that it is open,
// where something listens.
[[nodiscard]] std::vector<Opening> open_ipv6(const Policy& policy,
                                             const std::vector<Session>& listeners);

// Guarded listeners, loopback ones aside, that were made in none of these cgroups; one a port and
// cgroup, by port.
[[nodiscard]] std::vector<Session> listeners_outside(
    const Policy& policy, const std::vector<Session>& listeners,
    const std::map<std::uint64_t, std::string>& cgroups);

// "22, 6432 (PgBouncer's usual port)"
[[nodiscard]] std::string list_ports(const std::vector<std::uint16_t>& ports);

}  // namespace moat
