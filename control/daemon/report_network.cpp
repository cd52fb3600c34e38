// SPDX-License-Identifier: BSD-2-Clause
// What the daemon tells of the network: net peerings, the addresses of a database, its endpoints.
// The host is asked each time, as its addresses and routes change without a word.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "control/daemon/report.h"
#include "control/enforce/open_ports.h"
#include "control/service/json.h"
#include "control/service/status_text.h"
#include "control/text/fnv1a.h"
#include "dataplane/host/link_names.h"
#include "dataplane/host/own_addresses.h"
#include "dataplane/host/sessions.h"

namespace moat {
namespace {

// RFC 1918 and RFC 6598.
bool is_private(Address address) {
  static constexpr std::array networks = {
      Prefix{Address(0x0a000000), 8}, Prefix{Address(0xac100000), 12},
      Prefix{Address(0xc0a80000), 16}, Prefix{Address(0x64400000), 10}};
  return std::ranges::any_of(networks, [&](Prefix network) { return network.contains(address); });
}

// Of a network of two addresses or one, each is a host's.
Address first_host(Prefix network) {
  return network.length < 31 ? Address(network.first().value + 1) : network.first();
}

// Addresses of this host at which `database` is the one that is reached by `port`; 0: by any.
std::vector<InterfaceAddress> addresses_of(const Policy& policy, const Database& database,
                                           std::uint16_t port,
                                           const std::vector<InterfaceAddress>& host) {
  auto own = host;
  std::erase_if(own, [&](const InterfaceAddress& at) {
    if (database.endpoint.address) return at.address != *database.endpoint.address;
    const auto* guard = find_guard(policy, at.address, port);
    return guard == nullptr || guard->id != database.id;
  });
  return own;
}

bool is_heard_at(const std::vector<Session>& listeners, Address address, std::uint16_t port) {
  return std::ranges::any_of(listeners, [&](const Session& listener) {
    if (listener.loopback || (port != 0 && listener.local_port != port)) return false;
    if (listener.ipv6) return listener.ipv4_too;
    return listener.local == Address{} || listener.local == address;
  });
}

std::string endpoint_id(const EndpointView& view) {
  Fnv1a hash;
  hash.add(fmt::format("{} {} {} {}", view.database, word(view.type), view.address, view.port));
  return fmt::format("e-{:08x}", static_cast<std::uint32_t>(hash.value() ^ hash.value() >> 32));
}

// What endpoints are told by.
struct HostNetwork {
  std::vector<InterfaceAddress> addresses = interface_addresses();
  std::vector<Session> listeners = moat::listeners().value_or(std::vector<Session>{});
};

// The addresses of this host that packets to the peered networks come from, and so replies to.
std::set<Address> addresses_for_peers(const Database& database, Routes& routes) {
  std::set<Address> addresses;
  for (const auto& peering : database.peerings) {
    if (const auto route = routes.route_to(first_host(peering.cidr)))
      addresses.insert(route->source);
  }
  return addresses;
}

std::vector<EndpointView> endpoints_of(const Policy& policy, const Database& database,
                                       const HostNetwork& host, const std::set<Address>& for_peers,
                                       bool is_judged) {
  std::vector<EndpointView> views;
  auto ports = database.endpoint.ports;
  if (database.endpoint.all) ports = {0};
  for (const auto port : ports) {
    for (const auto& at : addresses_of(policy, database, port, host.addresses)) {
      EndpointView view;
      view.database = database.id;
      view.type = for_peers.contains(at.address) && is_private(at.address)
                      ? EndpointType::private_peering
                      : EndpointType::public_address;
      view.address = format_address(at.address);
      view.port = port;
      view.listening = is_heard_at(host.listeners, at.address, port);
      view.guarded = is_judged;
      view.monitored = policy.mode_of(database) == Mode::monitor;
      view.id = endpoint_id(view);
      views.push_back(std::move(view));
    }
  }
  return views;
}

}  // namespace

NetPeeringView Views::peering_view(const Database& database, const NetPeering& peering,
                                   Routes& routes) const {
  NetPeeringView view;
  view.database = database.id;
  view.id = peering.id;
  view.cidr = format_prefix(peering.cidr);
  view.account = peering.account;
  view.label = peering.label;
  view.place = peering.place;
  for (const auto& rule : database.rules) {
    if (rule.net_peering != peering.id && !(rule.cidr && peering.cidr.contains(*rule.cidr)))
      continue;
    const auto hits = counts(publisher_.state().slots.rule(database.id, rule.id));
    view.hits.packets += hits.packets;
    view.hits.bytes += hits.bytes;
  }
  const auto route = routes.route_to(first_host(peering.cidr));
  if (route) {
    view.interface = link_name_or_number(route->ifindex);
    view.address = format_address(route->source);
  }
  if (find_admitting(policy(), database, peering, publisher_.expiry_time()) == nullptr) {
    view.state = NetPeeringState::no_rule;
  } else if (!route) {
    view.state = NetPeeringState::no_route;
  }
  return view;
}

std::vector<NetPeeringView> Views::net_peerings(const std::string& wanted) const {
  std::vector<NetPeeringView> views;
  Routes routes;
  for (const auto& database : policy().databases) {
    if (!wanted.empty() && database.id != wanted) continue;
    for (const auto& peering : database.peerings)
      views.push_back(peering_view(database, peering, routes));
  }
  return views;
}

std::vector<NetworkView> Views::network(const std::string& wanted) const {
  std::vector<NetworkView> views;
  const auto host = interface_addresses();
  Routes routes;
  for (const auto& database : policy().databases) {
    if (!wanted.empty() && database.id != wanted) continue;
    NetworkView view;
    view.database = database.id;
    view.endpoint = database.endpoint;
    for (const auto& at : host) {
      if (database.endpoint.address.value_or(at.address) != at.address) continue;
      view.addresses.push_back({at.interface, format_address(at.address),
                                format_prefix(Prefix::of(at.address, at.length))});
    }
    for (const auto& peering : database.peerings) {
      const auto told = peering_view(database, peering, routes);
      view.peers.push_back({told.id, told.cidr, told.interface, told.address});
    }
    views.push_back(std::move(view));
  }
  return views;
}

EndpointsView Views::endpoints(const std::string& wanted, const DaemonFacts& facts) const {
  EndpointsView view;
  const HostNetwork host;
  const auto now = status(facts);
  const bool is_judged = unjudged(now).empty();
  const auto judged_by = judged_alone(now);
  Routes routes;
  for (const auto& database : policy().databases) {
    if (!wanted.empty() && database.id != wanted) continue;
    auto more =
        endpoints_of(policy(), database, host, addresses_for_peers(database, routes), is_judged);
    const bool is_open = std::ranges::any_of(now.wide, [&](const StatusView::Wide& wide) {
      return wide.is_all && wide.database == database.id;
    });
    for (auto& endpoint : more) {
      endpoint.guarded_by = judged_by;
      endpoint.is_open_to_all = is_open;
    }
    std::ranges::move(more, std::back_inserter(view.endpoints));
  }
  view.unguarded_ports = unguarded_listeners(policy(), host.listeners);
  return view;
}

}  // namespace moat
