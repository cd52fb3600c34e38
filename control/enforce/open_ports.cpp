// SPDX-License-Identifier: BSD-2-Clause
#include "control/enforce/open_ports.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>

#include "control/policy/coverage.h"
#include "control/policy/endpoint.h"
#include "control/policy/guard_change.h"

namespace moat {
namespace {

struct UsualPort {
  std::uint16_t port;
  const char* of;
};
// Where databases and what stands before them listen if nobody says otherwise.
constexpr std::array usual_ports = {
    UsualPort{1433, "SQL Server"}, UsualPort{1521, "Oracle"},        UsualPort{3306, "MySQL"},
    UsualPort{5432, "PostgreSQL"}, UsualPort{6379, "Redis"},         UsualPort{6432, "PgBouncer"},
    UsualPort{9042, "Cassandra"},  UsualPort{9200, "Elasticsearch"}, UsualPort{27017, "MongoDB"}};

// By what a port is open that a database guarded once; the wider, the later.
enum class OpenBy : std::uint8_t { none, rules_for_most, rules_for_all, monitor_mode, no_guard };

// What is open by one policy.
class Openness {
 public:
  Openness(const Policy& policy, WallTime now) : policy_(policy), now_(now) {}

  // By the database that guards a port now.
  OpenBy of(const Database& guard) {
    if (policy_.mode_of(guard) == Mode::monitor) return OpenBy::monitor_mode;
    const auto [found, is_new] = by_rules_.try_emplace(&guard, OpenBy::none);
    if (!is_new) return found->second;
    if (const auto count = wide_coverage(policy_, guard, now_))
      found->second = *count == kClientAddresses ? OpenBy::rules_for_all : OpenBy::rules_for_most;
    return found->second;
  }

  // The database that guarded it once may be in monitor mode or wide itself, which is told of it
  // whenever it is so.
  OpenBy of(const ExposedPort& port) {
    const auto* guard = find_guard(policy_, port.address, port.port);
    if (guard == nullptr) return OpenBy::no_guard;
    return guard->id == port.database ? OpenBy::none : of(*guard);
  }

  [[nodiscard]] const Policy& policy() const { return policy_; }

 private:
  const Policy& policy_;
  WallTime now_;
  std::map<const Database*, OpenBy> by_rules_;  // as to count takes a sort
};

bool hears(const ExposedPort& port, const Session& listener) {
  if (listener.loopback) return false;
  if (port.port != 0 && listener.local_port != port.port) return false;
  return !port.address || listener.local == Address{} || listener.local == *port.address;
}

// By how they are open, and by which database: empty where none guards them.
using OpenPorts = std::map<std::pair<OpenBy, std::string>, std::set<std::uint16_t>>;

// Which ports of it something listens on and everybody reaches.
OpenPorts find_open_ports(Openness& openness, const ExposedPort& port,
                          const std::vector<Session>& listeners) {
  OpenPorts open;
  for (const auto& listener : listeners) {
    if (!hears(port, listener)) continue;
    auto at = port.address;
    if (!at && listener.local != Address{}) at = listener.local;
    const auto how = openness.of(ExposedPort{port.database, at, listener.local_port});
    if (how == OpenBy::none) continue;
    const auto* guard = find_guard(openness.policy(), at, listener.local_port);
    open[{how, guard == nullptr ? "" : guard->id}].insert(listener.local_port);
  }
  return open;
}

Opening describe(const ExposedPort& port, OpenBy how, const std::string& guard,
                 const std::set<std::uint16_t>& open) {
  const bool is_one = open.size() == 1;
  const auto where = port.address ? " of " + format_address(*port.address) : std::string();
  const auto what =
      fmt::format("{} {}{}, once guarded for {}, {} open to", is_one ? "port" : "ports",
                  fmt::join(open, ", "), where, port.database, is_one ? "is" : "are");
  const auto* them = is_one ? "it" : "them";
  switch (how) {
    case OpenBy::monitor_mode:
      return {port.database,
              fmt::format("{} everybody: database {} guards {} now, and is in monitor mode", what,
                          guard, them),
              fmt::format("moat databases enforce {}, or name {} in the endpoint of a database "
                          "that is enforced",
                          guard, them)};
    case OpenBy::rules_for_most:
    case OpenBy::rules_for_all:
      return {port.database,
              fmt::format("{} {}: the rules of database {}, which guards {} now, let them in", what,
                          how == OpenBy::rules_for_all ? "EVERY ADDRESS" : "most addresses", guard,
                          them),
              fmt::format("moat rules list --database {}", guard)};
    case OpenBy::none:
    case OpenBy::no_guard:
      break;
  }
  return {port.database, fmt::format("{} everybody: something listens there", what),
          fmt::format("name {} in a database's endpoint, or stop what listens", them)};
}

// Whether whatever reaches the listener is judged.
bool is_judged(const Policy& policy, const Session& listener) {
  return std::ranges::any_of(policy.databases, [&](const Database& database) {
    const auto& address = database.endpoint.address;
    if (listener.ipv6) return guards_ipv6(database.endpoint, listener.local_port);
    if (address && *address != listener.local) return false;
    return database.endpoint.all || names_port(database.endpoint, listener.local_port);
  });
}

// Whether something that reaches the listener is judged.
bool is_heard(const Policy& policy, const Session& listener) {
  return std::ranges::any_of(policy.databases, [&](const Database& database) {
    const auto& endpoint = database.endpoint;
    const bool any_address = listener.ipv6 || listener.local == Address{};
    if (!any_address && endpoint.address && *endpoint.address != listener.local) return false;
    return names_port(endpoint, listener.local_port) ||
           (endpoint.all && (!listener.ipv6 || listener.ipv4_too));
  });
}

bool is_usual(std::uint16_t port) {
  return std::ranges::find(usual_ports, port, &UsualPort::port) != usual_ports.end();
}

// Which ports of the endpoint something listens on at addresses where no database guards them, and
// those addresses.
struct OpenAt {
  std::set<std::uint16_t> ports;
  std::set<Address> addresses;
};
OpenAt open_elsewhere(const Policy& policy, const Endpoint& endpoint,
                      const std::vector<Session>& listeners,
                      const std::vector<Address>& addresses) {
  OpenAt open;
  for (const auto& listener : listeners) {
    const auto port = listener.local_port;
    if (listener.loopback || (listener.ipv6 && !listener.ipv4_too)) continue;
    if (endpoint.all ? !is_usual(port) : !names_port(endpoint, port)) continue;
    for (const auto address : addresses) {
      if (listener.local != Address{} && listener.local != address) continue;
      if (find_guard(policy, address, port) != nullptr) continue;
      open.ports.insert(port);
      open.addresses.insert(address);
    }
  }
  return open;
}

// `ports: all` needs an address.
std::string address_remedy(const Database& database) {
  auto remedy =
      fmt::format("write the address that it has in {} as `address`", database.place.file);
  if (!database.endpoint.all) remedy += ", or leave `address` out: that guards every address";
  return remedy;
}

std::string list_addresses(const std::set<Address>& addresses) {
  constexpr std::size_t max_named = 3;
  std::vector<std::string> texts;
  for (const auto address : addresses) {
    if (texts.size() == max_named) {
      texts.push_back(fmt::format("{} more", addresses.size() - max_named));
      break;
    }
    texts.push_back(format_address(address));
  }
  return fmt::format("{}", fmt::join(texts, ", "));
}

}  // namespace

AbsentAddresses absent_addresses(const Policy& policy, const std::vector<Session>& listeners,
                                 const std::vector<Address>& addresses) {
  AbsentAddresses absent;
  for (const auto& database : policy.databases) {
    const auto& address = database.endpoint.address;
    if (!address || std::ranges::find(addresses, *address) != addresses.end()) continue;
    const auto open = open_elsewhere(policy, database.endpoint, listeners, addresses);
    if (open.ports.empty()) {
      absent.standby.push_back(
          {database.id,
           fmt::format("no interface of this host has the address {} of database {}: its ports are "
                       "guarded there alone, once it is here",
                       format_address(*address), database.id),
           ""});
      continue;
    }
    const bool is_one = open.ports.size() == 1;
    absent.open.push_back(
        {database.id,
         fmt::format(
             "{} {} {} open to everybody at {}: database {} guards {} at {} alone, which no "
             "interface of this host has",
             is_one ? "port" : "ports", fmt::join(open.ports, ", "), is_one ? "is" : "are",
             list_addresses(open.addresses), database.id, is_one ? "it" : "them",
             format_address(*address)),
         address_remedy(database)});
  }
  return absent;
}

std::vector<ExposedPort> exposed_ports(const Policy& before, const Policy& after, WallTime now) {
  Openness earlier(before, now), later(after, now);
  std::vector<ExposedPort> open;
  for (const auto& [address, port, old, guard] : find_guard_changes(before, after)) {
    const auto how = guard == nullptr ? OpenBy::no_guard : later.of(*guard);
    if (how > earlier.of(*old)) open.push_back({old->id, address, port});
  }
  return open;
}

std::vector<ExposedPort> ExposedPorts::replace(const Policy& before, const Policy& after,
                                               WallTime now) {
  Openness openness(after, now);
  std::erase_if(ports_, [&](const ExposedPort& port) { return openness.of(port) == OpenBy::none; });
  auto fresh = exposed_ports(before, after, now);
  for (const auto& port : fresh) {
    if (std::ranges::find(ports_, port) == ports_.end()) ports_.push_back(port);
  }
  constexpr std::size_t max_ports = 1'000;
  if (ports_.size() > max_ports) ports_.erase(ports_.begin(), ports_.end() - max_ports);
  return fresh;
}

std::vector<Opening> ExposedPorts::open(const Policy& policy, const std::vector<Session>& listeners,
                                        const std::vector<Address>& addresses, WallTime now) const {
  Openness openness(policy, now);
  std::vector<Opening> out;
  for (const auto& port : ports_) {
    if (port.address && std::ranges::find(addresses, *port.address) == addresses.end()) continue;
    for (const auto& [how, open] : find_open_ports(openness, port, listeners))
      out.push_back(describe(port, how.first, how.second, open));
  }
  return out;
}

std::vector<std::uint16_t> unguarded_listeners(const Policy& policy,
                                               const std::vector<Session>& listeners) {
  std::set<std::uint16_t> open;
  for (const auto& listener : listeners) {
    if (listener.loopback) continue;
    auto as_ipv4 = listener;
    as_ipv4.ipv6 = false;
    if (!is_judged(policy, listener) || (listener.ipv4_too && !is_judged(policy, as_ipv4))) {
      open.insert(listener.local_port);
    }
  }
  return {open.begin(), open.end()};
}

std::vector<Opening> open_ipv6(const Policy& policy, const std::vector<Session>& listeners) {
  auto ports = ipv6_ports(listeners);
  std::erase_if(ports, [&](std::uint16_t port) {
    return std::ranges::any_of(policy.databases, [port](const Database& database) {
      return guards_ipv6(database.endpoint, port);
    });
  });
  std::vector<Opening> open;
  for (const auto& database : policy.databases) {
    if (ports.empty() || !database.endpoint.all || database.endpoint.ipv6) continue;
    open.push_back(
        {database.id,
         fmt::format("ports: all of {} guards IPv4 alone: by IPv6, TCP ports of this host are open "
                     "to everybody: {}",
                     database.id, list_ports(ports)),
         "write `ipv6: closed` in its endpoint, or `ipv6: open` if that is meant"});
  }
  return open;
}

std::vector<Session> listeners_outside(const Policy& policy, const std::vector<Session>& listeners,
                                       const std::map<std::uint64_t, std::string>& cgroups) {
  std::map<std::pair<std::uint16_t, std::uint64_t>, Session> outside;
  for (const auto& listener : listeners) {
    if (listener.loopback || listener.cgroup == 0 || cgroups.contains(listener.cgroup)) continue;
    if (is_heard(policy, listener)) outside[{listener.local_port, listener.cgroup}] = listener;
  }
  std::vector<Session> out;
  for (const auto& [key, listener] : outside) out.push_back(listener);
  return out;
}

std::string list_ports(const std::vector<std::uint16_t>& ports) {
  std::vector<std::string> texts;
  for (const auto port : ports) {
    const auto usual = std::ranges::find(usual_ports, port, &UsualPort::port);
    texts.push_back(usual == usual_ports.end()
                        ? fmt::format("{}", port)
                        : fmt::format("{} ({}'s usual port)", port, usual->of));
  }
  return fmt::format("{}", fmt::join(texts, ", "));
}

}  // namespace moat
