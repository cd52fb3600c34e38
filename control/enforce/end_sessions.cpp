// SPDX-License-Identifier: BSD-2-Clause
#include "control/enforce/end_sessions.h"

#include <net/if.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_map>

#include "control/policy/endpoint.h"
#include "dataplane/host/netlink.h"

namespace moat {
namespace {

// IPv6 has no rules: where a database guards it in enforce mode nobody may stay.
bool ipv6_may_stay(const Policy& policy, std::uint16_t port) {
  return std::ranges::none_of(policy.databases, [&](const Database& database) {
    return guards_ipv6(database.endpoint, port) && policy.mode_of(database) == Mode::enforce;
  });
}

std::set<std::uint32_t> indices(const std::vector<std::string>& interfaces) {
  std::set<std::uint32_t> found;
  for (const auto& name : interfaces) {
    if (const auto index = if_nametoindex(name.c_str()); index != 0) found.insert(index);
  }
  return found;
}

void sort_unique(std::vector<std::uint16_t>& ports) {
  std::ranges::sort(ports);
  ports.erase(std::unique(ports.begin(), ports.end()), ports.end());
}

// Both ends of a session as its socket has them, own end first.
using Ends = std::tuple<Address, Address6, std::uint16_t, Address, Address6, std::uint16_t>;

Ends ends_of(const Session& session) {
  return {session.local, session.local_ipv6, session.local_port,
          session.peer,  session.peer_ipv6,  session.peer_port};
}

Ends ends_of_peer(const Session& session) {
  return {session.peer,  session.peer_ipv6,  session.peer_port,
          session.local, session.local_ipv6, session.local_port};
}

// Sessions that the packet path exempts. Those of the host with itself: not all that comes by
// loopback, but what has a socket of the host at its other end. And those by trusted interfaces, by
// the interface their packets come in by; where that cannot be told a session is taken to be one.
class ExemptSessions {
 public:
  ExemptSessions(const std::vector<std::string>& trusted, PacketPath& path)
      : trusted_(indices(trusted)), path_(path) {
    trusted_.erase(loopback);
    // The program on an interface drops before it counts that the interface is trusted.
    for (const auto index : indices(path.attached_interfaces())) trusted_.erase(index);
  }

  bool contains(const Session& session) {
    // What is in TIME_WAIT is nobody's: to end it harms no one.
    if (session.time_wait) return false;
    return is_with_itself(session) || is_by_trusted(session);
  }

  [[nodiscard]] const std::string& doubt() const { return doubt_; }

 private:
  static constexpr std::uint32_t loopback = 1;  // its index in every network namespace

  bool is_with_itself(const Session& session) {
    if (!sockets_) {
      sockets_.emplace();
      if (const auto connected = connected_sessions(std::nullopt)) {
        for (const auto& each : *connected) (*sockets_)->insert(ends_of(each));
      } else {
        sockets_ = std::unexpected(connected.error());
        doubt_ = "which of them the host has with itself is not known: " +
                 format_error(connected.error());
      }
    }
    return !*sockets_ || (*sockets_)->contains(ends_of_peer(session));
  }

  bool is_by_trusted(const Session& session) {
    if (trusted_.empty()) return false;
    if (!interfaces_) interfaces_ = path_.arrivals();
    if (!*interfaces_) {
      doubt_ = "which of them come in by a trusted interface is not known: " +
               format_error(interfaces_->error());
      return true;
    }
    const auto entry = (*interfaces_)->find(session.cookie);
    return entry == (*interfaces_)->end() || trusted_.contains(entry->second);
  }

  std::set<std::uint32_t> trusted_;
  PacketPath& path_;
  std::optional<Result<std::set<Ends>>> sockets_;  // of this network namespace
  std::optional<Result<std::unordered_map<std::uint64_t, std::uint32_t>>> interfaces_;
  std::string doubt_;
};

// Finds what NAT did to a socket's session.
class TranslatedSockets {
 public:
  explicit TranslatedSockets(const std::vector<Translation>& all) {
    for (const auto& each : all) by_ends_.emplace(ends_of(each.translated), &each);
  }

  [[nodiscard]] const Translation* find(const Session& session) const {
    const auto entry = by_ends_.find(ends_of(session));
    return entry == by_ends_.end() ? nullptr : entry->second;
  }

 private:
  std::map<Ends, const Translation*> by_ends_;
};

bool may_concern(const LocalPorts& ports, const Translation& session) {
  const auto is_one = [&](std::uint16_t port) {
    return !ports || std::ranges::binary_search(*ports, port);
  };
  return is_one(session.wire.local_port) || is_one(session.translated.local_port);
}

// A guarded port may lead to a socket on one that nobody guards.
void add_translated_ports(const Generation& live, const std::vector<Translation>& sessions,
                          std::vector<std::uint16_t>& ports) {
  for (const auto& session : sessions) {
    if (!session.forwarded && !may_stay(live, session)) {
      ports.push_back(session.translated.local_port);
    }
  }
  sort_unique(ports);
}

// What is forwarded meets the packet path on a guarded NIC alone, and as it is on the wire. By
// which interface it comes in nobody keeps: the way back has to do.
Result<> forget_forwarded(const Generation& live, const std::vector<Translation>& sessions,
                          const std::vector<std::string>& guarded, EndedSessions& result) {
  const auto judged = indices(guarded);
  Routes routes;
  std::vector<const Translation*> over;
  for (const auto& session : sessions) {
    if (!session.forwarded || may_stay(live, session.wire)) continue;
    const auto interface = routes.interface_to_peer(session.wire);
    if (interface && judged.contains(*interface)) over.push_back(&session);
  }
  const auto forgotten = forget(over);
  if (!forgotten) return std::unexpected(forgotten.error());
  result.count += static_cast<unsigned>(forgotten->size());
  for (const auto* session : *forgotten) result.sessions.push_back(session->wire);
  return {};
}

bool is_guarded(const Policy& policy, const Session& session) {
  if (!session.ipv6) return find_guard(policy, session.local, session.local_port) != nullptr;
  return std::ranges::any_of(policy.databases, [&](const Database& database) {
    return guards_ipv6(database.endpoint, session.local_port);
  });
}

// As it is on the wire, if what is guarded there is not only guarded behind NAT.
Session wire_of(const Policy& policy, const Translation* translation, const Session& session) {
  if (translation == nullptr || !is_guarded(policy, translation->wire)) return session;
  auto wire = translation->wire;
  wire.own = session.own;
  wire.cookie = session.cookie;
  wire.inode = session.inode;
  wire.idle = session.idle;
  return wire;
}

void add_forwarded(const Policy& policy, const std::vector<Translation>& sessions,
                   const std::vector<std::string>& guarded, std::vector<GuardedSession>& found) {
  const auto judged = indices(guarded);
  Routes routes;
  for (const auto& session : sessions) {
    if (!session.forwarded || !is_guarded(policy, session.wire)) continue;
    const auto interface = routes.interface_to_peer(session.wire);
    if (interface && judged.contains(*interface)) found.push_back({session.wire, false});
  }
}

void add_doubt(std::string& doubt, const std::string& more) {
  if (!doubt.empty()) doubt += "; ";
  doubt += more;
}

}  // namespace

LocalPorts guarded_ports(const Policy& policy) {
  std::vector<std::uint16_t> ports;
  for (const auto& database : policy.databases) {
    if (database.endpoint.all) return std::nullopt;
    ports.insert(ports.end(), database.endpoint.ports.begin(), database.endpoint.ports.end());
  }
  sort_unique(ports);
  return ports;
}

bool may_stay(const Generation& live, const Session& session) {
  if (session.own) return true;
  if (session.ipv6) return ipv6_may_stay(live.policy, session.local_port);
  const auto* guard = find_guard(live.policy, session.local, session.local_port);
  if (guard == nullptr || live.policy.mode_of(*guard) == Mode::monitor) return true;
  if (is_martian(session.peer)) return false;
  const auto number = static_cast<std::uint32_t>(guard - live.policy.databases.data()) + 1;
  const auto source = source_class(live.table, session.peer);
  return entry_slot(live.table, source, number, live.now) != 0;
}

bool may_stay(const Generation& live, const Translation& session) {
  auto translated = session.translated;
  translated.peer = session.wire.peer;
  translated.peer_ipv6 = session.wire.peer_ipv6;
  translated.own = session.wire.own;
  return may_stay(live, session.wire) && may_stay(live, translated);
}

Result<EndedSessions> end_sessions(const Generation& live, const SessionInterfaces& interfaces,
                                   PacketPath& path) {
  EndedSessions result;
  auto ports = guarded_ports(live.policy);
  std::vector<Translation> changed;
  if (auto found =
          translations([&](const Translation& session) { return may_concern(ports, session); })) {
    changed = std::move(*found);
  } else {
    add_doubt(result.doubt, "sessions by NAT: " + found.error().message);
  }
  if (ports) add_translated_ports(live, changed, *ports);
  const TranslatedSockets translated(changed);
  ExemptSessions exempt(interfaces.trusted, path);
  const auto ended = destroy_sessions(ports, [&](const Session& session) {
    const auto* translation = translated.find(session);
    const bool stays = translation ? may_stay(live, *translation) : may_stay(live, session);
    if (stays || exempt.contains(session)) return true;
    if (!session.time_wait) result.sessions.push_back(translation ? translation->wire : session);
    return false;
  });
  if (!ended) return std::unexpected(ended.error());
  result.count = *ended;
  const auto forgotten = forget_forwarded(live, changed, interfaces.guarded, result);
  if (!forgotten) return std::unexpected(forgotten.error());
  if (!exempt.doubt().empty()) add_doubt(result.doubt, exempt.doubt());
  return result;
}

Result<std::vector<GuardedSession>> guarded_sessions(const Policy& policy,
                                                     const SessionInterfaces& interfaces,
                                                     PacketPath& path) {
  auto ports = guarded_ports(policy);
  // Without NAT's table, sessions are as their sockets have them.
  const auto changed = translations([&](const Translation& session) {
                         return may_concern(ports, session);
                       }).value_or(std::vector<Translation>{});
  if (ports) {
    for (const auto& each : changed) {
      if (!each.forwarded) ports->push_back(each.translated.local_port);
    }
    sort_unique(*ports);
  }
  const auto sessions = connected_sessions(ports, true);
  if (!sessions) return std::unexpected(sessions.error());
  const TranslatedSockets translated(changed);
  ExemptSessions exempt(interfaces.trusted, path);
  std::vector<GuardedSession> found;
  for (const auto& session : *sessions) {
    const auto wire = wire_of(policy, translated.find(session), session);
    if (!is_guarded(policy, wire)) continue;
    found.push_back({wire, session.own || exempt.contains(session)});
  }
  add_forwarded(policy, changed, interfaces.guarded, found);
  return found;
}

}  // namespace moat
