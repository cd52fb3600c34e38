// SPDX-License-Identifier: BSD-2-Clause
#include "control/policy/guard_change.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "control/policy/endpoint.h"

namespace moat {
namespace {

using Target = std::pair<std::optional<Address>, std::uint16_t>;  // as in GuardChange

// find_guard(), for a look at many ports.
class Guards {
 public:
  explicit Guards(const Policy& policy) {
    for (const auto& database : policy.databases) {
      const auto& endpoint = database.endpoint;
      if (endpoint.all) named_.try_emplace({endpoint.address, 0}, &database);
      for (const auto port : endpoint.ports)
        named_.try_emplace({endpoint.address, port}, &database);
    }
  }

  [[nodiscard]] const Database* find(const Target& target) const {
    for (const Target& at : {target, Target{target.first, 0}, Target{std::nullopt, target.second}})
      if (const auto found = named_.find(at); found != named_.end()) return found->second;
    return nullptr;
  }

  // What endpoints name.
  void add_targets(std::set<Target>& to) const {
    for (const auto& [target, database] : named_) to.insert(target);
  }

 private:
  std::map<Target, const Database*> named_;
};

// All that may have another guard than what takes it in. Where `ports: all` guards an address, so
// do its rules each port there that is named without an address.
std::set<Target> find_targets(const Guards& before, const Guards& after) {
  std::set<Target> named;
  before.add_targets(named);
  after.add_targets(named);
  auto targets = named;
  for (const auto& [address, port] : named) {
    if (port != 0) continue;
    for (const auto& [any, other] : named)
      if (!any) targets.emplace(address, other);
  }
  return targets;
}

// Which database closes the port to IPv6: one that enforces before one in monitor mode.
const Database* find_ipv6_guard(const Policy& policy, std::uint16_t port) {
  const Database* found = nullptr;
  for (const auto& database : policy.databases) {
    if (!guards_ipv6(database.endpoint, port)) continue;
    if (policy.mode_of(database) == Mode::enforce) return &database;
    if (found == nullptr) found = &database;
  }
  return found;
}

std::set<std::uint16_t> named_ports(const Policy& policy) {
  std::set<std::uint16_t> ports;
  for (const auto& database : policy.databases)
    ports.insert(database.endpoint.ports.begin(), database.endpoint.ports.end());
  return ports;
}

}  // namespace

std::vector<GuardChange> find_guard_changes(const Policy& before, const Policy& after) {
  const Guards old(before);
  const Guards fresh(after);
  const auto change_at = [&](const Target& target) {
    return GuardChange{target.first, target.second, old.find(target), fresh.find(target)};
  };
  const auto takes_in = [&](const Target& whole, const GuardChange& part) {
    const auto change = change_at(whole);
    return change.before == part.before && change.after == part.after;
  };
  std::vector<GuardChange> changes;
  for (const auto& target : find_targets(old, fresh)) {
    const auto change = change_at(target);
    if (change.before == nullptr) continue;
    if (change.after != nullptr && change.after->id == change.before->id) continue;
    const auto& [address, port] = target;
    if (address && takes_in({std::nullopt, port}, change)) continue;
    if (address && port != 0 && takes_in({address, 0}, change)) continue;
    changes.push_back(change);
  }
  return changes;
}

std::vector<Ipv6Opening> find_ipv6_openings(const Policy& before, const Policy& after) {
  auto ports = named_ports(before);
  ports.merge(named_ports(after));
  ports.insert(0);
  std::vector<Ipv6Opening> openings;
  for (const auto port : ports) {
    const Ipv6Opening opening{port, find_ipv6_guard(before, port), find_ipv6_guard(after, port)};
    const auto& [at, old, guard] = opening;
    if (old == nullptr) continue;
    if (guard != nullptr) {
      if (after.mode_of(*guard) == Mode::enforce || before.mode_of(*old) == Mode::monitor) continue;
      const auto* same = after.find(old->id);
      if (same != nullptr && guards_ipv6(same->endpoint, port)) continue;
    }
    const bool is_taken_in = !openings.empty() && openings.front().port == 0 &&
                             openings.front().before == old && openings.front().after == guard;
    if (!is_taken_in) openings.push_back(opening);
  }
  return openings;
}

}  // namespace moat
