// SPDX-License-Identifier: BSD-2-Clause
// Why a source gets what it gets, in words. Pure: the daemon asks it about the live policy, and the
// command about one read from files.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "control/policy/policy.h"
#include "control/service/service.h"

namespace moat {

// What the host sends to itself comes by its loopback interface, past all rules if that is trusted.
struct OwnTraffic {
  bool is_trusted = false;
  std::vector<Address> addresses;        // of the host; those of 127.0.0.0/8 go without saying
  std::vector<Address6> ipv6_addresses;  // of the host; ::1 goes without saying
};

// An IPv4 address, also as a socket for both families shows it: ::ffff:192.0.2.1.
[[nodiscard]] std::expected<Address, Error> parse_source(const std::string& source);

// One answer a database, by id; `database` empty: all of them, and none if the policy does not know
// it. Says what the oracle says. Left for the caller: generation, last_hit and table_agrees.
//
// At an address that another database has, that one decides about the port: `elsewhere` names it.
//
// For a source that matches nothing, `detail` names a rule that has expired, or one whose border
// the source is just beside, and `place` is that rule's; else the command that would let it in.
[[nodiscard]] std::vector<WhyView> explain(const Policy& policy, Address source,
                                           const std::string& database, WallTime now,
                                           const OwnTraffic& own = {});

// The same of an IPv6 address; nothing: `source` is none. There are no IPv6 rules, so that the
// endpoints alone decide.
[[nodiscard]] std::optional<std::vector<WhyView>> explain_ipv6(const Policy& policy,
                                                               const std::string& source,
                                                               const std::string& database,
                                                               const OwnTraffic& own = {});

}  // namespace moat
