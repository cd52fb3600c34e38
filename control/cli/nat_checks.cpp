// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/nat_checks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <set>

namespace moat {
namespace {

constexpr std::uint16_t first_unprivileged = 1024;
constexpr std::size_t max_reported = 10;  // ways to one endpoint

using Ports = std::vector<PortRange>;

Ports as_ranges(const std::vector<std::uint16_t>& ports) {
  Ports ranges;
  for (const auto port : ports) ranges.push_back({port, port});
  return ranges;
}

Ports common(const Ports& a, const Ports& b) {
  NatPackets left;
  NatPackets right;
  left.ports = a;
  right.ports = b;
  return both(left, right).ports;
}

// What is guarded at an address of this host; nothing: at an IPv6 address.
Ports guarded_at(const std::vector<Endpoint>& endpoints, std::optional<Address> address) {
  Ports guarded;
  for (const auto& endpoint : endpoints) {
    if (address && endpoint.address && endpoint.address != address) continue;
    if (address && endpoint.all) return {{0, 65535}};
    for (const auto port : endpoint.ports) guarded.push_back({port, port});
  }
  return guarded;
}

// The addresses by which packets that the rule takes reach this host. A rule for others alone, say
// one that routes lead here, counts with the first of each range.
std::vector<Address> addresses_of(const NatRule& rule, const HostFacts& host) {
  std::vector<Address> addresses;
  for (const auto [first, last] : rule.packets.destinations) {
    std::vector<Address> own;
    std::ranges::copy_if(host.addresses, std::back_inserter(own),
                         [&](Address address) { return first <= address && address <= last; });
    if (own.empty()) own.push_back(first);
    std::ranges::copy_if(own, std::back_inserter(addresses),
                         [](Address address) { return !is_loopback(address); });
  }
  return addresses;
}

bool is_local(const NatRule& rule, const HostFacts& host) {
  if (rule.target.empty() || rule.target == "::1" || rule.target.starts_with("127.")) return true;
  const auto address = parse_address(rule.target);
  return address && std::ranges::find(host.addresses, *address) != host.addresses.end();
}

// Of `ports`, those that are open at some address by which the rule's packets come, and where.
struct Open {
  Ports ports;
  std::vector<Address> addresses;  // where not at all of them; else empty
  bool is_elsewhere = false;       // at another address than the endpoint's
};

Open find_open(const Ports& ports, const NatRule& rule, const std::vector<Endpoint>& endpoints,
               std::size_t index, const HostFacts& host) {
  if (rule.ipv6) return {common(ports, all_but(guarded_at(endpoints, std::nullopt))), {}, false};
  Open open;
  const auto addresses = addresses_of(rule, host);
  for (const auto address : addresses) {
    auto found = common(ports, all_but(guarded_at(endpoints, address)));
    if (found.empty()) continue;
    if (open.ports.empty()) open.ports = std::move(found);
    open.addresses.push_back(address);
    const auto& own = endpoints[index].address;
    open.is_elsewhere |= own && *own != address;
  }
  if (open.addresses.size() == addresses.size()) open.addresses.clear();
  return open;
}

std::string show(const Ports& ports) {
  std::vector<std::string> texts;
  for (const auto [first, last] : ports) {
    texts.push_back(first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last));
  }
  return fmt::format("{}", fmt::join(texts, ", "));
}

std::uint32_t count(const Ports& ports) {
  std::uint32_t total = 0;
  for (const auto [first, last] : ports) total += last - first + 1u;
  return total;
}

bool is_nearly_all(const Ports& ports) { return count(ports) > 60'000; }

std::string show(const Open& open, const NatPackets& packets) {
  auto text = !packets.ports_are_known    ? std::string("ports that Moat cannot tell")
              : is_nearly_all(open.ports) ? std::string("every other port")
              : open.ports.size() == 1 && open.ports[0].first == open.ports[0].last
                  ? fmt::format("port {}", open.ports[0].first)
                  : fmt::format("ports {}", show(open.ports));
  std::vector<std::string> where;
  for (const auto address : open.addresses) where.push_back(format_address(address));
  if (!where.empty()) text += fmt::format(" of {}", fmt::join(where, ", "));
  return text;
}

std::string remedy_for(const Open& open, const NatPackets& packets, const Endpoint& endpoint,
                       const std::string& database) {
  if (!packets.ports_are_known) return "guard the ports that the NAT rule takes";
  if (is_nearly_all(open.ports)) return "have the NAT rule take no more than guarded ports";
  // Its file takes single ports, and at its own address.
  const bool has_place = !endpoint.all && !open.is_elsewhere && count(open.ports) <= max_reported;
  if (!has_place) return fmt::format("guard {}", show(open, packets));
  std::vector<std::string> ports;
  for (const auto [first, last] : open.ports) {
    for (std::uint32_t port = first; port <= last; port++) ports.push_back(fmt::format("{}", port));
  }
  return fmt::format("add {} to the ports of {}", fmt::join(ports, ", "),
                     database.empty() ? "this database" : "database " + database);
}

// Packets of a rule that lead to one of the endpoint's ports by one that is open.
std::optional<NatFinding> find_way(const NatRule& rule, std::size_t index,
                                   const std::vector<Endpoint>& endpoints, const HostFacts& host,
                                   bool has_backstop, const std::string& database) {
  const auto& endpoint = endpoints[index];
  const bool local = is_local(rule, host);
  if (local && has_backstop) return std::nullopt;
  const auto target = parse_address(rule.target);
  if (local && endpoint.address && target && *target != *endpoint.address) return std::nullopt;
  auto wire = rule.packets.ports;
  auto led_to = as_ranges(endpoint.ports);
  if (rule.new_ports) led_to = common(led_to, {*rule.new_ports});
  if (!rule.new_ports) wire = led_to = common(wire, led_to);
  if (led_to.empty()) return std::nullopt;
  const auto open = find_open(wire, rule, endpoints, index, host);
  if (open.ports.empty()) return std::nullopt;
  const auto from = show(open, rule.packets);
  const auto remedy = remedy_for(open, rule.packets, endpoint, database);
  const auto ports = rule.packets.ports_are_known ? count(open.ports) : 0;
  if (local) {
    return NatFinding{index,
                      fmt::format("NAT leads {} to port {} of this host, and Moat's rules do not "
                                  "apply, as there is no backstop: {}",
                                  from, show(led_to), rule.place),
                      "write `backstop: true`, or " + remedy, ports};
  }
  return NatFinding{
      index,
      fmt::format("NAT leads {} to port {} of {}, and Moat's rules do not apply, as no "
                  "database guards the port on the wire: {}",
                  from, show(led_to), rule.target, rule.place),
      remedy, ports};
}

// The longest run of ports that NAT may choose from and that holds none of the guarded ones.
PortRange free_range(const std::vector<Endpoint>& endpoints) {
  const auto guarded = guarded_at(endpoints, std::nullopt);
  const auto free = common(all_but(guarded), {{first_unprivileged, 65535}});
  const auto length = [](PortRange range) { return range.last - range.first; };
  return free.empty() ? PortRange{first_unprivileged, 65535}
                      : *std::ranges::max_element(free, {}, length);
}

std::vector<std::uint16_t> ports_at_risk(const Endpoint& endpoint, const NatRule& rule,
                                         const HostFacts& host) {
  std::vector<std::uint16_t> at_risk;
  const auto source = parse_address(rule.target);
  if (endpoint.address && source && *source != *endpoint.address) return at_risk;
  std::ranges::copy_if(endpoint.ports, std::back_inserter(at_risk), [&](std::uint16_t port) {
    if (rule.new_ports) return rule.new_ports->contains(port);
    // Two connections have the same port only where one of them is somebody else's.
    return port >= first_unprivileged && (rule.is_random || host.is_forwarding);
  });
  return at_risk;
}

std::string describe(const NatRule& rule) {
  if (rule.new_ports) {
    return fmt::format("NAT takes source ports for connections from {} to {}, this one among them",
                       rule.new_ports->first, rule.new_ports->last);
  }
  if (rule.is_random) {
    return "NAT takes source ports for connections at random from 1024 to 65535, now and then this "
           "one";
  }
  return "where two connections that it forwards have the same source port, NAT takes another from "
         "1024 to 65535 for one of them, perhaps this one";
}

std::string remedy_for(const NatRule& rule, PortRange free) {
  const auto range = fmt::format("{}-{}", free.first, free.last);
  const bool is_iptables = rule.place.find("tables -t nat") != std::string::npos;
  const auto how =
      is_iptables           ? rule.target.empty()
                                  ? fmt::format("-p tcp -j MASQUERADE --to-ports {}", range)
                                  : fmt::format("-p tcp -j SNAT --to-source {}:{}", rule.target, range)
                : rule.target.empty() ? fmt::format("meta l4proto tcp masquerade to :{}", range)
                            : fmt::format("meta l4proto tcp snat to {}:{}", rule.target, range);
  return fmt::format("put a rule with the same conditions before it: `{}`", how);
}

// How likely it is that a guarded port is taken.
int weight(const NatRule& rule) { return rule.new_ports ? 2 : rule.is_random ? 1 : 0; }

// Without those whose TCP packets an earlier one takes.
std::vector<const NatRule*> source_rules(const std::vector<NatRule>& rules) {
  std::vector<const NatRule*> sources;
  std::set<std::string> seen;
  for (const auto& rule : rules) {
    if (rule.kind != NatRule::Kind::source || rule.packets.is_empty()) continue;
    if (seen.insert(rule.conditions).second) sources.push_back(&rule);
  }
  return sources;
}

}  // namespace

std::vector<NatFinding> find_ways_round(const std::vector<Endpoint>& endpoints,
                                        const std::vector<NatRule>& rules, const HostFacts& host,
                                        bool has_backstop,
                                        const std::vector<std::string>& databases) {
  std::vector<NatFinding> findings;
  std::vector<std::size_t> found(endpoints.size());
  for (const auto& rule : rules) {
    if (rule.kind != NatRule::Kind::destination) continue;
    for (std::size_t i = 0; i < endpoints.size(); i++) {
      auto finding = find_way(rule, i, endpoints, host, has_backstop,
                              i < databases.size() ? databases[i] : std::string());
      if (!finding) continue;
      if (found[i]++ < max_reported) findings.push_back(*std::move(finding));
      break;
    }
  }
  for (std::size_t i = 0; i < endpoints.size(); i++) {
    if (found[i] <= max_reported) continue;
    findings.push_back({i,
                        fmt::format("{} more NAT rules lead ports that no database guards to a "
                                    "guarded one",
                                    found[i] - max_reported),
                        "guard those ports, then look again", 0});
  }
  return findings;
}

std::vector<NatFinding> find_taken_ports(const std::vector<Endpoint>& endpoints,
                                         const std::vector<NatRule>& rules, const HostFacts& host) {
  const auto sources = source_rules(rules);
  const auto free = free_range(endpoints);
  std::vector<NatFinding> findings;
  for (std::size_t i = 0; i < endpoints.size(); i++) {
    const NatRule* worst = nullptr;
    std::size_t others = 0;
    for (const auto* rule : sources) {
      if (ports_at_risk(endpoints[i], *rule, host).empty()) continue;
      if (worst != nullptr) others++;
      if (worst == nullptr || weight(*rule) > weight(*worst)) worst = rule;
    }
    if (worst == nullptr) continue;
    findings.push_back(
        {i,
         fmt::format("{}, and the replies would be dropped (port {}): {}{}", describe(*worst),
                     fmt::join(ports_at_risk(endpoints[i], *worst, host), ", "), worst->place,
                     others == 0 ? "" : fmt::format(", and {} more", others)),
         remedy_for(*worst, free), 0});
  }
  return findings;
}

}  // namespace moat
