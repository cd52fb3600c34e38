// SPDX-License-Identifier: BSD-2-Clause
// moat rules list, add, remove
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "control/cli/change.h"
#include "control/cli/output.h"

namespace moat {
namespace {

struct ListOptions {
  std::string database;
};

struct AddOptions {
  NewRule rule;
  ChangeOptions change;
};

struct RemoveOptions {
  std::string database;
  std::string id;
  ChangeOptions change;
};

Cell status_cell(const RuleView& rule) {
  switch (rule.state) {
    case RuleState::active:
      return {rule.expires ? "active until " + format_time(*rule.expires) : "active", Colour::good};
    case RuleState::expired:
      return {rule.expires ? "expired " + format_time(*rule.expires) : "expired", Colour::doubtful};
    case RuleState::held_back:
    case RuleState::vanished:
      return {std::string(word(rule.state)), Colour::bad};
  }
  return {};
}

bool has_several_databases(const std::vector<RuleView>& rules) {
  return std::ranges::any_of(
      rules, [&](const RuleView& rule) { return rule.database != rules.front().database; });
}

// A database without rules lets nobody in, and no database lets everybody in.
Exit tell_of_no_rules(const Cli& cli) {
  const auto databases = as_list<DatabaseView>(Client(cli).get("/v1/databases"), "databases");
  if (!databases) return fail(cli, databases.error());
  tell(databases->empty() ? "no database is guarded: every source reaches everything"
                          : "no rules: nobody is allowed");
  return Exit::done;
}

Exit list_rules(const Cli& cli, const ListOptions& options) {
  const auto answer = Client(cli).get("/v1/rules", {{"database", options.database}});
  const auto rules = as_list<RuleView>(answer, "rules");
  if (!rules) return fail(cli, rules.error());
  if (cli.json) {
    print_json(*answer);
    return Exit::done;
  }
  const bool several = has_several_databases(*rules);
  std::vector<Column> columns{{"ID"},     {"TYPE"},       {"CIDR OR RANGE ID"}, {"LABEL"},
                              {"STATUS"}, {"HITS", true}, {"LAST HIT"}};
  if (several) columns.push_back({"DATABASE"});
  Table table(std::move(columns));
  for (const auto& rule : *rules) {
    std::vector<Cell> row{{rule.id},           {rule.type},
                          {rule.source},       {rule.label},
                          status_cell(rule),   {format_number(rule.hits.packets)},
                          {ago(rule.last_hit)}};
    if (several) row.push_back({rule.database});
    table.add(std::move(row));
  }
  if (table.empty()) return tell_of_no_rules(cli);
  table.print();
  return Exit::done;
}

Exit add_rule(const Cli& cli, const AddOptions& options) {
  if (const auto& cidr = options.rule.cidr; !cidr.empty()) {
    if (const auto prefix = parse_prefix(cidr); !prefix) {
      return fail(cli, misspelt(prefix.error(), cidr));
    }
  }
  const Client client(cli);
  return report_change(cli, client, client.post("/v1/rules", dump(encode(options.rule))),
                       options.change, PrintRuleId::yes);
}

Exit remove_rule(const Cli& cli, const RemoveOptions& options) {
  const Client client(cli);
  return report_change(
      cli, client, client.remove("/v1/rules", {{"database", options.database}, {"id", options.id}}),
      options.change);
}

void add_database_option(CLI::App& command, std::string& database) {
  command.add_option("--database", database, "Whose rules; may be left out where there is one")
      ->type_name("ID");
}

void add_list(CLI::App& rules, Cli& cli) {
  auto* list = rules.add_subcommand("list", "List who may reach the databases");
  auto& options = on_command(*list, cli, list_rules);
  list->add_option("--database", options.database, "The rules of this database alone")
      ->type_name("ID");
  list->footer(
      "Hits are packets that the rule let pass. Last hit is sampled, so that it may lag by ten\n"
      "seconds.\n\nExample:\n  moat rules list --database orders");
}

void add_add(CLI::App& rules, Cli& cli) {
  auto* add = rules.add_subcommand("add", "Allow a source, in the database's rule file");
  auto& options = on_command(*add, cli, add_rule);
  add_database_option(*add, options.rule.database);
  auto* source = add->add_option_group("source", "Exactly one of these");
  source->add_option("--cidr", options.rule.cidr, "A network or, with /32, an address")
      ->type_name("CIDR");
  source->add_option("--managed-range", options.rule.managed_range, "See moat managed-ranges list")
      ->type_name("ID");
  source->require_option(1);
  add->add_option("--label", options.rule.label, "What the rule is for, in your words")
      ->type_name("TEXT");
  add->add_option("--expires", options.rule.expires,
                  "When it ends: UTC as in 2027-01-31T18:00:00Z, or from now as in 30m, 12h, 7d")
      ->type_name("WHEN");
  add_no_wait(*add, options.change);
  add->footer(
      "The file's comments and layout stay. Prints the new rule's id when the kernel enforces it.\n"
      "\nExit: 0 enforced, 1 refused and nothing changed, 2 wrong use, 3 moatd not reachable,\n"
      "4 accepted but not enforced within the bound.\n\n"
      "Examples:\n"
      "  moat rules add --database orders --cidr 198.51.100.25/32 --label 'My workstation'\n"
      "  moat rules add --managed-range mr-scalingo-osc-fr1 --expires 12h");
}

void add_remove(CLI::App& rules, Cli& cli) {
  auto* remove = rules.add_subcommand("remove", "Take a rule out of the database's rule file");
  auto& options = on_command(*remove, cli, remove_rule);
  add_database_option(*remove, options.database);
  remove->add_option("RULE-ID", options.id, "As moat rules list names it")->required();
  add_no_wait(*remove, options.change);
  remove->footer(
      "Open sessions that no other rule allows are cut off (see drop-sessions in moat.yaml(5)).\n"
      "\nExample:\n  moat rules remove --database orders r-1a2b3c4d");
}

}  // namespace

void add_rules(CLI::App& app, Cli& cli) {
  auto* rules = app.add_subcommand("rules", "List, add or remove rules: who may reach a database");
  rules->require_subcommand(1);
  add_list(*rules, cli);
  add_add(*rules, cli);
  add_remove(*rules, cli);
}

}  // namespace moat
