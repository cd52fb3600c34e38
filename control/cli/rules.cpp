// SPDX-License-Identifier: BSD-2-Clause
// moat rules list, add, set, remove
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "control/cli/change.h"
#include "control/cli/output.h"
#include "control/cli/own_address.h"
#include "control/cli/pager.h"
#include "control/policy/expiry.h"

namespace moat {
namespace {

constexpr auto whose_rules = "Whose rules; may be left out where there is one";
constexpr auto expires_help =
    "When it ends: from now as in 30m, 12h, 7d; a day as in 2027-01-31, 0:00 UTC; or a time as in "
    "2027-01-31T18:00:00Z or 2027-01-31T19:00:00+01:00";

struct ListOptions {
  std::string database;
  std::string unused;  // for how long
};

struct AddOptions {
  NewRule rule;
  bool me = false;
  ChangeOptions change;
};

struct SetOptions {
  RuleName rule;
  std::string label;
  std::string expires;
  bool no_label = false;
  bool no_expires = false;
  ChangeOptions change;
};

struct RemoveOptions {
  RuleName rule;
  ChangeOptions change;
};

Cell status_cell(const RuleView& rule) {
  const auto active = rule.expires ? "active until " + format_time(*rule.expires) : "active";
  switch (rule.state) {
    case RuleState::active:
      return {active, Colour::good};
    case RuleState::expired:
      return {rule.expires ? "expired " + format_time(*rule.expires) : "expired", Colour::doubtful};
    // In force all the same, as the file had it last.
    case RuleState::held_back:
      return {active + " (file held back)", Colour::doubtful};
    case RuleState::vanished:
      return {active + " (file deleted)", Colour::doubtful};
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
  const bool lets_pass = std::ranges::any_of(
      *databases, [](const DatabaseView& each) { return each.mode == Mode::monitor; });
  tell(databases->empty() ? "no database is guarded: every source reaches everything"
       : lets_pass ? "no rules: enforce mode drops everybody, monitor mode lets everybody pass"
                   : "no rules: nobody is allowed");
  return Exit::done;
}

// Leaves those that had no hit since `then`. Of rules that are not counted for so long yet nobody
// can say; how many those are.
std::size_t keep_unused(std::vector<RuleView>& rules, WallTime then) {
  std::size_t too_new = 0;
  std::erase_if(rules, [&](const RuleView& rule) {
    if (rule.last_hit) return *rule.last_hit >= then;
    const bool is_new = !rule.counted_since || *rule.counted_since >= then;
    too_new += is_new;
    return is_new;
  });
  return too_new;
}

Cell hit_cell(const RuleView& rule) {
  if (rule.last_hit || !rule.counted_since) return {ago(rule.last_hit)};
  return {fmt::format("no hit yet (counted for {})", format_age(*rule.counted_since))};
}

// Tells what `list` says nothing of.
void tell_of_unused(const std::vector<RuleView>& unused, std::size_t too_new,
                    const std::string& length) {
  if (unused.empty()) tell(fmt::format("no rule has been without a hit for {}", length));
  if (too_new == 0) return;
  tell(fmt::format("{} without a hit {} younger than {}: not listed", plural(too_new, "rule"),
                   too_new == 1 ? "is" : "are", length));
}

Exit list(const Cli& cli, const ListOptions& options) {
  std::optional<WallTime> then;
  if (!options.unused.empty()) {
    const auto length = parse_length(options.unused);
    if (!length) return fail(cli, misspelt(length.error(), options.unused));
    then = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()) - *length;
  }
  const auto answer = Client(cli).get("/v1/rules", {{"database", options.database}});
  auto rules = as_list<RuleView>(answer, "rules");
  if (!rules) return fail(cli, rules.error());
  const auto too_new = then ? keep_unused(*rules, *then) : 0;
  if (cli.json) {
    print_json(then ? list_document("rules", *rules) : **answer);
    return Exit::done;
  }
  const Pager pager(cli);
  if (then) tell_of_unused(*rules, too_new, options.unused);
  const bool several = has_several_databases(*rules);
  std::vector<Column> columns{{"ID"},     {"TYPE"},       {"CIDR OR RANGE ID"}, {"LABEL"},
                              {"STATUS"}, {"HITS", true}, {"LAST HIT"}};
  if (several) columns.push_back({"DATABASE"});
  TextTable table(std::move(columns));
  for (const auto& rule : *rules) {
    std::vector<Cell> row{{rule.id},     {rule.type},       {rule.source},
                          {rule.label},  status_cell(rule), {format_number(rule.hits.packets)},
                          hit_cell(rule)};
    if (several) row.push_back({rule.database});
    table.add(std::move(row));
  }
  if (table.empty() && !then) return tell_of_no_rules(cli);
  table.print();
  return Exit::done;
}

// A CIDR that no rule can have, whatever the daemon may say.
std::optional<CommandError> misspelt_cidr(const std::string& cidr) {
  if (cidr.empty()) return std::nullopt;
  const auto prefix = parse_prefix(cidr);
  return prefix ? std::nullopt : std::optional(misspelt(prefix.error(), cidr));
}

Client::Arguments arguments_for(const RuleName& rule) {
  return {{"database", rule.database},
          {"id", rule.id},
          {"cidr", rule.cidr},
          {"managed_range", rule.managed_range},
          {"net_peering", rule.net_peering}};
}

Exit add(const Cli& cli, const AddOptions& options) {
  if (const auto wrong = misspelt_cidr(options.rule.cidr)) return fail(cli, *wrong);
  auto rule = options.rule;
  if (options.me) {
    const auto address = own_address();
    if (!address) return fail(cli, address.error());
    rule.cidr = *address + "/32";
    tell(fmt::format("your address is {}", *address));
  }
  Client client(cli);
  const auto reply = send_edit(client, options.change,
                               [&] { return client.post("/v1/rules", body_of(encode(rule))); });
  return report_change(cli, client, reply, options.change, PrintRuleId::yes);
}

Exit set(const Cli& cli, const SetOptions& options) {
  const auto wrong_use = [&](std::string message, std::string remedy) {
    return fail(cli,
                {Exit::usage, {Refusal::Kind::invalid, std::move(message), std::move(remedy), {}}});
  };
  if (const auto wrong = misspelt_cidr(options.rule.cidr)) return fail(cli, *wrong);
  if (options.no_expires && !options.expires.empty())
    return wrong_use("both --expires and --no-expires", "give one of them");
  if (options.no_label && !options.label.empty())
    return wrong_use("both --label and --no-label", "give one of them");
  const std::string expires = options.no_expires ? std::string(never_expires) : options.expires;
  const bool has_label = options.no_label || !options.label.empty();
  if (!has_label && expires.empty()) {
    return wrong_use("nothing is to be set", "give --label, --no-label, --expires or --no-expires");
  }
  Json wanted = Json::object();
  if (has_label) wanted["label"] = options.label;
  if (!expires.empty()) wanted["expires"] = expires;
  Client client(cli);
  const auto reply = send_edit(client, options.change, [&] {
    return client.patch("/v1/rules", arguments_for(options.rule), dump(wanted));
  });
  return report_change(cli, client, reply, options.change);
}

Exit remove(const Cli& cli, const RemoveOptions& options) {
  if (const auto wrong = misspelt_cidr(options.rule.cidr)) return fail(cli, *wrong);
  Client client(cli);
  const auto reply = send_edit(client, options.change, [&] {
    return client.remove("/v1/rules", arguments_for(options.rule));
  });
  return report_change(cli, client, reply, options.change);
}

// By which a rule is named.
Options name_options(RuleName& rule) {
  return {{"--database", "ID", &rule.database, whose_rules},
          {"RULE-ID", "", &rule.id, "As moat rules list names it, or how it begins", "rule"},
          {"--cidr", "CIDR", &rule.cidr, "The rule for this network or address", "rule"},
          {"--managed-range", "ID", &rule.managed_range, "The rule for this range", "rule"},
          {"--net-peering", "ID", &rule.net_peering, "The rule for this net peering", "rule"}};
}

}  // namespace

Action command::list_rules(Options& options) {
  const auto values = std::make_shared<ListOptions>();
  options = {
      {"--database", "ID", &values->database, "The rules of this database alone"},
      {"--unused", "LENGTH", &values->unused, "Those without a hit for so long, as in 30d or 4w"}};
  return make_action(values, list);
}

Action command::add_rule(Options& options) {
  const auto values = std::make_shared<AddOptions>();
  auto& rule = values->rule;
  options = {
      {"--database", "ID", &rule.database, whose_rules},
      {"--cidr", "CIDR", &rule.cidr, "A network or, with /32, an address", "source"},
      {"--managed-range", "ID", &rule.managed_range, "See moat managed-ranges list", "source"},
      {"--net-peering", "ID", &rule.net_peering, "See moat net-peerings list", "source"},
      {"--me", "", &values->me, "Your address: that of the SSH session you are in; as root",
       "source"},
      {"--label", "TEXT", &rule.label, "What the rule is for, in your words"},
      {"--expires", "WHEN", &rule.expires, expires_help},
      {"--if-absent", "", &rule.if_absent, "Change nothing where a rule names the source already"}};
  add_edit_options(values->change, options);
  return make_action(values, add);
}

Action command::set_rule(Options& options) {
  const auto values = std::make_shared<SetOptions>();
  options = name_options(values->rule);
  const Options wanted = {
      {"--label", "TEXT", &values->label, "What the rule is for, in your words"},
      {"--no-label", "", &values->no_label, "It has none"},
      {"--expires", "WHEN", &values->expires, expires_help},
      {"--no-expires", "", &values->no_expires, "It does not end"}};
  options.insert(options.end(), wanted.begin(), wanted.end());
  add_edit_options(values->change, options);
  return make_action(values, set);
}

Action command::remove_rule(Options& options) {
  const auto values = std::make_shared<RemoveOptions>();
  options = name_options(values->rule);
  add_edit_options(values->change, options);
  return make_action(values, remove);
}

}  // namespace moat
