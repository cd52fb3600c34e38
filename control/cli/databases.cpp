// SPDX-License-Identifier: BSD-2-Clause
// moat databases list, forget
#include <fmt/format.h>

#include "control/cli/change.h"
#include "control/cli/output.h"
#include "control/policy/endpoint.h"

namespace moat {
namespace {

struct ListOptions {};

struct ForgetOptions {
  std::string id;
  ChangeOptions change;
};

Exit list_databases(const Cli& cli, const ListOptions&) {
  const auto answer = Client(cli).get("/v1/databases");
  const auto databases = as_list<DatabaseView>(answer, "databases");
  if (!databases) return fail(cli, databases.error());
  if (cli.json) {
    print_json(*answer);
    return Exit::done;
  }
  Table table({{"ID"},
               {"ENDPOINT"},
               {"MODE"},
               {"STATUS"},
               {"RULES", true},
               {"PEERINGS", true},
               {"PACKETS ALLOWED", true},
               {"PACKETS DROPPED", true}});
  for (const auto& database : *databases) {
    table.add({{database.id},
               {format_endpoint(database.endpoint)},
               {std::string(to_string(database.mode)),
                database.mode == Mode::monitor ? Colour::doubtful : Colour::none},
               {database.sealed ? "sealed" : std::string(word(database.state)),
                database.state == FileState::active ? Colour::good : Colour::bad},
               {fmt::format("{}", database.rules)},
               {fmt::format("{}", database.peerings)},
               {format_number(database.allowed.packets)},
               {format_number(database.dropped.packets)}});
  }
  if (table.empty()) tell("no database is guarded");
  table.print();
  return Exit::done;
}

Exit forget_database(const Cli& cli, const ForgetOptions& options) {
  const Client client(cli);
  return report_change(cli, client, client.remove("/v1/databases/" + escape(options.id)),
                       options.change);
}

}  // namespace

void add_databases(CLI::App& app, Cli& cli) {
  auto* command = app.add_subcommand("databases", "List the guarded databases, or end a guard");
  command->require_subcommand(1);

  auto* list = command->add_subcommand("list", "List the guarded databases");
  on_command(*list, cli, list_databases);
  list->footer(
      "Status: active, held-back (its file has errors; the last rules stay), sealed (held\n"
      "back and never enforced before: nobody is allowed) or vanished (its file is gone;\n"
      "the last rules stay).");

  auto* forget = command->add_subcommand("forget", "End the guard of a database without a file");
  auto& options = on_command(*forget, cli, forget_database);
  forget->add_option("ID", options.id, "The database")->required();
  add_no_wait(*forget, options.change);
  forget->footer(
      "A database whose file was removed stays guarded with its last rules. This ends\n"
      "that: its port is OPEN afterwards. Refused while a file names the database.\n\n"
      "Example:\n  moat databases forget orders");
}

}  // namespace moat
