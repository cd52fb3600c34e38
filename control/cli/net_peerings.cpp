// SPDX-License-Identifier: BSD-2-Clause
// moat net-peerings list, add_peering, remove
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "control/cli/change.h"
#include "control/cli/output.h"

namespace moat {
namespace {

struct ListPeeringsOptions {
  std::string database;
};

struct AddPeeringOptions {
  NewNetPeering peering;
  ChangeOptions change;
};

struct RemovePeeringOptions {
  NetPeeringName peering;
  ChangeOptions change;
};

Cell status_cell(const NetPeeringView& peering) {
  return {std::string(word(peering.state)),
          peering.state == NetPeeringState::active ? Colour::good : Colour::doubtful};
}

Exit list_peerings(const Cli& cli, const ListPeeringsOptions& options) {
  const auto answer = Client(cli).get("/v1/net-peerings", {{"database", options.database}});
  const auto peerings = as_list<NetPeeringView>(answer, "net_peerings");
  if (!peerings) return fail(cli, peerings.error());
  if (cli.json) {
    print_json(**answer);
    return Exit::done;
  }
  const bool several = std::ranges::any_of(*peerings, [&](const NetPeeringView& peering) {
    return peering.database != peerings->front().database;
  });
  std::vector<Column> columns{{"ID"}, {"STATUS"}, {"CIDR"}, {"ACCOUNT"}, {"LABEL"}, {"HITS", true}};
  if (several) columns.push_back({"DATABASE"});
  TextTable table(std::move(columns));
  for (const auto& peering : *peerings) {
    std::vector<Cell> row{{peering.id},    status_cell(peering),
                          {peering.cidr},  {peering.account},
                          {peering.label}, {format_number(peering.hits.packets)}};
    if (several) row.push_back({peering.database});
    table.add(std::move(row));
  }
  if (table.empty()) tell("no net peerings");
  table.print();
  for (const auto& peering : *peerings) {
    if (peering.state != NetPeeringState::no_rule) continue;
    tell(
        printable(fmt::format("{} admits nobody; to let it in: moat rules add --database {} "
                              "--net-peering {}",
                              peering.id, peering.database, peering.id)));
  }
  return Exit::done;
}

// What is wrong with it whatever the daemon may say.
std::optional<CommandError> find_fault(const NewNetPeering& peering) {
  const auto missing = [](std::string what) {
    return CommandError{Exit::usage, {Refusal::Kind::invalid, std::move(what), "give it", {}}};
  };
  if (peering.id.empty()) return missing("--id is missing");
  if (peering.cidr.empty()) return missing("--cidr is missing");
  const auto cidr = parse_prefix(peering.cidr);
  return cidr ? std::nullopt : std::optional(misspelt(cidr.error(), peering.cidr));
}

Exit add_peering(const Cli& cli, const AddPeeringOptions& options) {
  if (const auto fault = find_fault(options.peering)) return fail(cli, *fault);
  Client client(cli);
  const auto reply = send_edit(client, options.change, [&] {
    return client.post("/v1/net-peerings", body_of(encode(options.peering)));
  });
  return report_change(cli, client, reply, options.change);
}

Exit remove_peering(const Cli& cli, const RemovePeeringOptions& options) {
  Client client(cli);
  const auto reply = send_edit(client, options.change, [&] {
    return client.remove("/v1/net-peerings",
                         {{"database", options.peering.database}, {"id", options.peering.id}});
  });
  return report_change(cli, client, reply, options.change);
}

}  // namespace

Action command::list_net_peerings(Options& options) {
  const auto values = std::make_shared<ListPeeringsOptions>();
  options = {{"--database", "ID", &values->database, "Those of this database alone"}};
  return make_action(values, list_peerings);
}

Action command::add_net_peering(Options& options) {
  const auto values = std::make_shared<AddPeeringOptions>();
  auto& peering = values->peering;
  options = {{"--database", "ID", &peering.database, "May be left out where there is one"},
             {"--id", "PEERING", &peering.id, "As its provider calls it: pcx-123456789"},
             {"--cidr", "CIDR", &peering.cidr, "The peered network"},
             {"--account", "TEXT", &peering.account, "Whose network it is"},
             {"--label", "TEXT", &peering.label, "What it is for, in your words"}};
  add_edit_options(values->change, options);
  return make_action(values, add_peering);
}

Action command::remove_net_peering(Options& options) {
  const auto values = std::make_shared<RemovePeeringOptions>();
  options = {{"--database", "ID", &values->peering.database, "May be left out where there is one"},
             {"ID", "", &values->peering.id, "As moat net-peerings list names it"}};
  add_edit_options(values->change, options);
  return make_action(values, remove_peering);
}

}  // namespace moat
