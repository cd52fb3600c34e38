// SPDX-License-Identifier: BSD-2-Clause
// moat databases list, forget
#include <fmt/format.h>

#include "control/cli/change.h"
#include "control/cli/output.h"
#include "control/policy/endpoint.h"

namespace moat {
namespace {

struct ForgetOptions {
  std::string id;
  ChangeOptions change;
};

Exit print_databases(const Cli& cli) {
  const auto answer = Client(cli).get("/v1/databases");
  const auto databases = as_list<DatabaseView>(answer, "databases");
  if (!databases) return fail(cli, databases.error());
  if (cli.json) {
    print_json(**answer);
    return Exit::done;
  }
  TextTable table({{"ID"},
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
               {database.is_placeholder ? "placeholder" : std::string(word(database.state)),
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

Exit forget(const Cli& cli, const ForgetOptions& options) {
  Client client(cli);
  return report_change(cli, client, client.remove("/v1/databases/" + escape(options.id)),
                       options.change);
}

}  // namespace

Action command::list_databases(Options&) { return print_databases; }

Action command::forget_database(Options& options) {
  const auto values = std::make_shared<ForgetOptions>();
  options = {{"ID", "", &values->id, "The database"}, no_wait(values->change)};
  return make_action(values, forget);
}

}  // namespace moat
