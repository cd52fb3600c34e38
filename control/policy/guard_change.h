// SPDX-License-Identifier: BSD-2-Clause
// Which ports another database guards after a change, or none. A port changes hands without being
// named: where a database with an address goes, one without guards its port there.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "control/policy/policy.h"

namespace moat {

struct GuardChange {
  std::optional<Address> address;    // nothing: every address that no database names
  std::uint16_t port = 0;            // TCP; 0: every port that no database names
  const Database* before = nullptr;  // never null
  const Database* after = nullptr;   // null: nobody guards it

  friend bool operator==(const GuardChange&, const GuardChange&) = default;
};

// By address and port; those whose guard has the same id in both policies are left out, and those
// that another change of the same two databases takes in: a port of one address beside the same
// port of every address, or beside every port of that address. Points into both policies.
[[nodiscard]] std::vector<GuardChange> find_guard_changes(const Policy& before,
                                                          const Policy& after);

// A TCP port that IPv6 reaches, on any address of the host.
struct Ipv6Opening {
  std::uint16_t port = 0;            // 0: every port that no database closes by its number
  const Database* before = nullptr;  // that closed it; never null
  const Database* after = nullptr;   // that would, but is in monitor mode; null: none

  friend bool operator==(const Ipv6Opening&, const Ipv6Opening&) = default;
};

// Those that a database closes to IPv6 `before`, and none `after`, or another one that is in
// monitor mode; by port. Left out are ports that the opening of all others takes in, and those
// whose database goes to monitor mode itself.
[[nodiscard]] std::vector<Ipv6Opening> find_ipv6_openings(const Policy& before,
                                                          const Policy& after);

}  // namespace moat
