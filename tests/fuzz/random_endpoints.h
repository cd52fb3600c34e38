// SPDX-License-Identifier: BSD-2-Clause
// Random policies whose endpoints differ too: one address or any, all ports of an address, ports
// shared between addresses; and modes.
#pragma once

#include <set>
#include <utility>

#include "tests/support/policies.h"

namespace moat::testing {

inline constexpr Address kAddresses[] = {Address(0x0a000014), Address(0x0a000015),
                                         Address(0x0a00001e)};
inline constexpr std::uint16_t kPorts[] = {5432, 5433, 6432, 22, 256, 65535};

inline std::optional<Mode> random_mode(Random& random) {
  switch (below(random, 6)) {
    case 0:
      return Mode::monitor;
    case 1:
      return Mode::enforce;
    default:
      return std::nullopt;
  }
}

// Hands out endpoints of which no two guard the same.
class EndpointMaker {
 public:
  explicit EndpointMaker(Random& random) : random_(random) {}

  // An endpoint that certainly is free for database number `number`, or a more interesting one.
  Endpoint make(unsigned number) {
    Endpoint endpoint;
    if (below(random_, 2) == 0)
      endpoint.address = kAddresses[below(random_, std::size(kAddresses))];
    if (endpoint.address && below(random_, 3) == 0 && !addresses_.contains(*endpoint.address)) {
      endpoint.all = true;
      if (below(random_, 2) == 0) endpoint.ipv6 = Ipv6::closed;
      addresses_.insert(*endpoint.address);
      whole_.insert(*endpoint.address);
      return endpoint;
    }
    if (endpoint.address && whole_.contains(*endpoint.address)) endpoint.address.reset();
    for (unsigned i = 0, ports = 1 + below(random_, 3); i < ports; i++) {
      const std::uint16_t port = kPorts[below(random_, std::size(kPorts))];
      if (taken_.insert({endpoint.address.value_or(Address{}), port}).second)
        endpoint.ports.push_back(port);
    }
    if (endpoint.ports.empty()) endpoint.ports = {static_cast<std::uint16_t>(7000 + number)};
    if (endpoint.address) addresses_.insert(*endpoint.address);
    return endpoint;
  }

 private:
  Random& random_;
  std::set<std::pair<Address, std::uint16_t>> taken_;
  std::set<Address> addresses_;  // that some endpoint has
  std::set<Address> whole_;      // of which one has every port
};

inline Policy random_whole_policy(std::uint64_t seed) {
  Policy policy = random_policy(seed);
  Random random(seed + 1);
  EndpointMaker endpoints(random);
  policy.mode = random_mode(random).value_or(Mode::enforce);
  unsigned number = 0;
  for (Database& database : policy.databases) {
    database.endpoint = endpoints.make(number++);
    database.mode = random_mode(random);
  }
  if (below(random, 30) == 0) policy.databases.clear();
  return policy;
}

}  // namespace moat::testing
