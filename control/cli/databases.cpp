// SPDX-License-Identifier: BSD-2-Clause
// moat databases list, monitor, enforce, forget
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "control/cli/change.h"
#include "control/cli/output.h"
#include "control/cli/pager.h"
#include "control/policy/endpoint.h"

namespace moat {
namespace {

struct ForgetOptions {
  std::string id;
  ChangeOptions change;
};

struct ModeOptions {
  std::string id;
  ChangeOptions change;
};

// "2", "1 + 1 expired"
std::string rule_count(const DatabaseView& database) {
  if (database.expired == 0) return fmt::format("{}", database.rules);
  return fmt::format("{} + {} expired", database.rules - database.expired, database.expired);
}

Exit print_databases(const Cli& cli) {
  const auto answer = Client(cli).get("/v1/databases");
  const auto databases = as_list<DatabaseView>(answer, "databases");
  if (!databases) return fail(cli, databases.error());
  if (cli.json) {
    print_json(**answer);
    return Exit::done;
  }
  const Pager pager(cli);
  const bool has_monitored = std::ranges::any_of(*databases, [](const DatabaseView& each) {
    return each.mode == Mode::monitor || each.monitored.packets != 0;
  });
  std::vector<Column> columns{{"ID"},
                              {"ENDPOINT"},
                              {"MODE"},
                              {"STATUS"},
                              {"RULES", true},
                              {"PEERINGS", true},
                              {"PACKETS ALLOWED", true},
                              {"PACKETS DROPPED", true}};
  if (has_monitored) columns.push_back({"PASSED IN MONITOR", true});
  TextTable table(std::move(columns));
  for (const auto& database : *databases) {
    std::vector<Cell> row{
        {database.id},
        {format_endpoint(database.endpoint)},
        {std::string(to_string(database.mode)),
         database.mode == Mode::monitor ? Colour::doubtful : Colour::none},
        {database.is_placeholder ? "placeholder" : std::string(word(database.state)),
         database.state == FileState::active ? Colour::good : Colour::bad},
        {rule_count(database)},
        {fmt::format("{}", database.peerings)},
        {format_number(database.allowed.packets)},
        {format_number(database.dropped.packets)}};
    if (has_monitored) row.push_back({format_number(database.monitored.packets)});
    table.add(std::move(row));
  }
  if (table.empty()) tell("no database is guarded");
  table.print();
  return Exit::done;
}

Exit forget(const Cli& cli, const ForgetOptions& options) {
  Client client(cli);
  const auto reply = send_edit(
      client, options.change, [&] { return client.remove("/v1/databases/" + escape(options.id)); });
  return report_change(cli, client, reply, options.change);
}

Exit set_mode(const Cli& cli, const ModeOptions& options, Mode mode) {
  Client client(cli);
  const auto body = dump(encode(ModeChange{std::string(to_string(mode))}));
  const auto reply = send_edit(client, options.change, [&] {
    return client.patch("/v1/databases/" + escape(options.id), {}, body);
  });
  return report_change(cli, client, reply, options.change);
}

Exit monitor(const Cli& cli, const ModeOptions& options) {
  return set_mode(cli, options, Mode::monitor);
}

Exit enforce(const Cli& cli, const ModeOptions& options) {
  return set_mode(cli, options, Mode::enforce);
}

}  // namespace

Action command::list_databases(Options&) { return print_databases; }

Action command::monitor_database(Options& options) {
  const auto values = std::make_shared<ModeOptions>();
  options = {{"ID", "", &values->id, "The database"}};
  add_edit_options(values->change, options);
  return make_action(values, monitor);
}

Action command::enforce_database(Options& options) {
  const auto values = std::make_shared<ModeOptions>();
  options = {{"ID", "", &values->id, "The database"}};
  add_edit_options(values->change, options);
  return make_action(values, enforce);
}

Action command::forget_database(Options& options) {
  const auto values = std::make_shared<ForgetOptions>();
  options = {
      {"ID", "", &values->id, "The database"}, yes(values->change.yes), no_wait(values->change)};
  return make_action(values, forget);
}

}  // namespace moat
