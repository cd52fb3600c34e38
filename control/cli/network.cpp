// SPDX-License-Identifier: BSD-2-Clause
// moat network-configuration, endpoints
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "control/cli/output.h"
#include "control/policy/endpoint.h"

namespace moat {
namespace {

struct NetworkOptions {
  std::string database;
};

void print(const NetworkView& network) {
  print_line(printable(fmt::format("{}: {}", network.database, format_endpoint(network.endpoint))));
  TextTable addresses({{"ADDRESS"}, {"NETWORK"}, {"INTERFACE"}});
  for (const auto& at : network.addresses)
    addresses.add({{at.address}, {at.network}, {at.interface}});
  addresses.print();
  if (network.peers.empty()) return;
  print_line("");
  TextTable peers({{"NET PEERING"}, {"CIDR"}, {"PRIVATE ADDRESS"}, {"INTERFACE"}});
  for (const auto& peer : network.peers)
    peers.add(
        {{peer.net_peering}, {peer.cidr}, {or_dash(peer.address)}, {or_dash(peer.interface)}});
  peers.print();
}

// Tells of what the tables leave out: they list what there is.
void tell_of_gaps(const NetworkView& network) {
  if (network.addresses.empty() && network.endpoint.address) {
    tell(printable(fmt::format("no interface has {}, the address of {}",
                               format_address(*network.endpoint.address), network.database)));
  }
  for (const auto& peer : network.peers) {
    if (peer.interface.empty())
      tell(printable(fmt::format("no route leads to {} ({})", peer.net_peering, peer.cidr)));
  }
}

Exit show_network(const Cli& cli, const NetworkOptions& options) {
  const auto answer =
      Client(cli).get("/v1/network-configuration", {{"database", options.database}});
  const auto networks = as_list<NetworkView>(answer, "databases");
  if (!networks) return fail(cli, networks.error());
  if (cli.json) {
    print_json(**answer);
    return Exit::done;
  }
  if (networks->empty()) tell("no database is guarded");
  bool is_first = true;
  for (const auto& network : *networks) {
    if (!std::exchange(is_first, false)) print_line("");
    print(network);
  }
  for (const auto& network : *networks) tell_of_gaps(network);
  return Exit::done;
}

Cell guard_cell(const EndpointView& endpoint) {
  const auto& by = endpoint.guarded_by;
  if (!endpoint.guarded && by.empty()) return {"no", Colour::bad};
  if (endpoint.monitored) return {"monitor", Colour::doubtful};
  if (endpoint.is_open_to_all) return {"open to all by its rules", Colour::bad};
  if (!endpoint.guarded) return {fmt::format("by {} only", fmt::join(by, ", ")), Colour::doubtful};
  return {"yes", Colour::good};
}

Exit list_endpoints(const Cli& cli, const NetworkOptions& options) {
  Client client(cli);
  const auto answer = client.get("/v1/endpoints", {{"database", options.database}});
  const auto view = as<EndpointsView>(answer);
  if (!view) return fail(cli, view.error());
  if (cli.json) {
    print_json(**answer);
    return Exit::done;
  }
  TextTable table(
      {{"ID"}, {"TYPE"}, {"ADDRESS"}, {"PORT", true}, {"LISTENING"}, {"GUARDED"}, {"DATABASE"}});
  for (const auto& endpoint : view->endpoints) {
    table.add({{endpoint.id},
               {std::string(word(endpoint.type))},
               {endpoint.address},
               {endpoint.port == 0 ? "all" : fmt::format("{}", endpoint.port)},
               {endpoint.listening ? "yes" : "no"},
               guard_cell(endpoint),
               {endpoint.database}});
  }
  if (table.empty()) tell("no database is reached at an address of this host");
  table.print();
  if (!view->unguarded_ports.empty()) {
    tell(fmt::format("something listens on TCP ports that no database guards: {}",
                     fmt::join(view->unguarded_ports, ", ")),
         Colour::doubtful);
  }
  return Exit::done;
}

}  // namespace

Action command::network_configuration(Options& options) {
  const auto values = std::make_shared<NetworkOptions>();
  options = {{"--database", "ID", &values->database, "Of this database alone"}};
  return make_action(values, show_network);
}

Action command::endpoints(Options& options) {
  const auto values = std::make_shared<NetworkOptions>();
  options = {{"--database", "ID", &values->database, "Those of this database alone"}};
  return make_action(values, list_endpoints);
}

}  // namespace moat
