// SPDX-License-Identifier: BSD-2-Clause
#include "control/cut_sessions.h"

#include <net/if.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <tuple>

#include "dataplane/netlink.h"

namespace moat {
namespace {

bool has_port(const Database& database, std::uint16_t port) {
  return std::ranges::find(database.endpoint.ports, port) != database.endpoint.ports.end();
}

// IPv6 has no rules: on a port that a database guards in enforce mode nobody may stay.
bool ipv6_may_stay(const Policy& policy, std::uint16_t port) {
  return std::ranges::none_of(policy.databases, [&](const Database& database) {
    return has_port(database, port) && policy.mode_of(database) == Mode::enforce;
  });
}

std::vector<std::uint32_t> indices(const std::vector<std::string>& interfaces) {
  std::vector<std::uint32_t> found;
  for (const auto& name : interfaces) {
    if (const auto index = if_nametoindex(name.c_str()); index != 0) found.push_back(index);
  }
  return found;
}

}  // namespace

LocalPorts guarded_ports(const Policy& policy) {
  std::vector<std::uint16_t> ports;
  for (const auto& database : policy.databases) {
    if (database.endpoint.all) return std::nullopt;
    ports.insert(ports.end(), database.endpoint.ports.begin(), database.endpoint.ports.end());
  }
  std::ranges::sort(ports);
  ports.erase(std::unique(ports.begin(), ports.end()), ports.end());
  return ports;
}

bool may_stay(const Generation& live, const Session& session) {
  if (session.own) return true;
  if (session.ipv6) return ipv6_may_stay(live.policy, session.local_port);
  const auto* guard = find_guard(live.policy, session.local, session.local_port);
  if (guard == nullptr || live.policy.mode_of(*guard) == Mode::monitor) return true;
  if (is_martian(session.peer)) return false;
  const auto number = static_cast<std::uint32_t>(guard - live.policy.databases.data()) + 1;
  const auto source = source_class(live.image, session.peer);
  return entry_slot(live.image, source, number, live.now) != 0;
}

Result<unsigned> cut_sessions(const Generation& live, const std::vector<std::string>& trusted) {
  const auto exempt = indices(trusted);
  // A client behind a trusted interface may have left thousands in TIME_WAIT: one look-up each
  // pair of addresses.
  using Ends = std::tuple<std::uint32_t, std::uint32_t, Address6, Address6, std::uint32_t>;
  std::map<Ends, bool> known;
  const auto is_exempt = [&](const Session& session) {
    if (exempt.empty()) return false;
    const auto [at, is_new] = known.try_emplace(
        Ends(session.local, session.peer, session.local_ipv6, session.peer_ipv6, session.ifindex));
    if (is_new) {
      const auto interface = route_interface(session);
      at->second = interface && std::ranges::find(exempt, *interface) != exempt.end();
    }
    return at->second;
  };
  return destroy_sessions(guarded_ports(live.policy), [&](const Session& session) {
    return may_stay(live, session) || is_exempt(session);
  });
}

}  // namespace moat
