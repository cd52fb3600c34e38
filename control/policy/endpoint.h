// SPDX-License-Identifier: BSD-2-Clause
// Arithmetic of endpoints: what two of them both guard, and what is left of one without the other.
//
// An endpoint without address and one with are apart even on the same port: the address wins there,
// so each packet still has one database. `all` on an address takes in each of its ports. `ipv6` is
// left out of it: what several databases close is closed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "control/policy/policy.h"

namespace moat {

// Whether it closes the TCP port on IPv6: for the whole host, as there are no addresses to tell
// apart.
[[nodiscard]] bool guards_ipv6(const Endpoint& endpoint, std::uint16_t port);

// What both guard, or nothing.
[[nodiscard]] std::optional<Endpoint> intersect(const Endpoint& a, const Endpoint& b);

// Whether `endpoint` guards all that `part` does.
[[nodiscard]] bool covers(const Endpoint& endpoint, const Endpoint& part);

// What `endpoint` guards and `guarded` does not, or nothing. `all` without some ports is no
// endpoint: it counts as nothing left.
[[nodiscard]] std::optional<Endpoint> subtract(const Endpoint& endpoint, const Endpoint& guarded);

// The ports of `other`, which has no address, that `endpoint`, which has one, guards there in its
// stead; none where it is not so.
[[nodiscard]] std::vector<std::uint16_t> ports_taken(const Endpoint& endpoint,
                                                     const Endpoint& other);

// "port 5432", "ports 5432, 6432 of 10.0.0.5", "every port of 10.0.0.5, IPv6 closed".
[[nodiscard]] std::string format_endpoint(const Endpoint& endpoint);

}  // namespace moat
