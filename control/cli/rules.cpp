// SPDX-License-Identifier: BSD-2-Clause
// moat rules list, add, remove
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "control/cli/change.h"
#include "control/cli/output.h"

namespace moat {
namespace {

constexpr auto whose_rules = "Whose rules; may be left out where there is one";

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

Exit list(const Cli& cli, const ListOptions& options) {
  const auto answer = Client(cli).get("/v1/rules", {{"database", options.database}});
  const auto rules = as_list<RuleView>(answer, "rules");
  if (!rules) return fail(cli, rules.error());
  if (cli.json) {
    print_json(**answer);
    return Exit::done;
  }
  const bool several = has_several_databases(*rules);
  std::vector<Column> columns{{"ID"},     {"TYPE"},       {"CIDR OR RANGE ID"}, {"LABEL"},
                              {"STATUS"}, {"HITS", true}, {"LAST HIT"}};
  if (several) columns.push_back({"DATABASE"});
  TextTable table(std::move(columns));
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

Exit add(const Cli& cli, const AddOptions& options) {
  if (const auto& cidr = options.rule.cidr; !cidr.empty()) {
    if (const auto prefix = parse_prefix(cidr); !prefix) {
      return fail(cli, misspelt(prefix.error(), cidr));
    }
  }
  auto rule = encode(options.rule);
  for (auto at = rule.begin(); at != rule.end();) at = *at == "" ? rule.erase(at) : std::next(at);
  Client client(cli);
  const auto reply =
      send_edit(client, options.change, [&] { return client.post("/v1/rules", dump(rule)); });
  return report_change(cli, client, reply, options.change, PrintRuleId::yes);
}

Exit remove(const Cli& cli, const RemoveOptions& options) {
  Client client(cli);
  const auto reply = send_edit(client, options.change, [&] {
    return client.remove("/v1/rules", {{"database", options.database}, {"id", options.id}});
  });
  return report_change(cli, client, reply, options.change);
}

}  // namespace

Action command::list_rules(Options& options) {
  const auto values = std::make_shared<ListOptions>();
  options = {{"--database", "ID", &values->database, "The rules of this database alone"}};
  return make_action(values, list);
}

Action command::add_rule(Options& options) {
  const auto values = std::make_shared<AddOptions>();
  auto& rule = values->rule;
  options = {
      {"--database", "ID", &rule.database, whose_rules},
      {"--cidr", "CIDR", &rule.cidr, "A network or, with /32, an address", "source"},
      {"--managed-range", "ID", &rule.managed_range, "See moat managed-ranges list", "source"},
      {"--label", "TEXT", &rule.label, "What the rule is for, in your words"},
      {"--expires", "WHEN", &rule.expires,
       "When it ends: UTC as in 2027-01-31T18:00:00Z, or from now as in 30m, 12h, 7d"},
      confirm(values->change),
      no_wait(values->change)};
  return make_action(values, add);
}

Action command::remove_rule(Options& options) {
  const auto values = std::make_shared<RemoveOptions>();
  options = {{"--database", "ID", &values->database, whose_rules},
             {"RULE-ID", "", &values->id, "As moat rules list names it"},
             confirm(values->change),
             no_wait(values->change)};
  return make_action(values, remove);
}

}  // namespace moat
