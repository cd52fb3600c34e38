// SPDX-License-Identifier: BSD-2-Clause
// moat sessions, preflight: who is connected, and what rules would make of that.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "control/cli/candidate.h"
#include "control/cli/output.h"
#include "control/cli/own_address.h"
#include "control/cli/pager.h"
#include "control/policy/coverage.h"
#include "control/policy/endpoint.h"
#include "control/policy/guard_change.h"
#include "control/service/explain.h"
#include "control/service/judge_session.h"
#include "dataplane/host/processes.h"

namespace moat {
namespace {

struct SessionsOptions {
  std::string database;
  std::string config;
};

WallTime now() {
  return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

// A session with what this command adds to what moatd knows of it.
struct Row {
  SessionView live;
  std::optional<SessionView> wanted;  // by the rules in `--config`
  std::optional<Process> process;

  // By the rules that are asked about.
  [[nodiscard]] const SessionView& judged() const { return wanted ? *wanted : live; }
  // If they were enforced.
  [[nodiscard]] bool would_end() const { return !judged().may_stay(); }
};

std::string format_process(const Row& row) {
  return row.process ? fmt::format("{} ({})", row.process->name, row.process->pid) : "-";
}

std::string format_rule(const SessionView& session) {
  if (!session.rule.empty()) return session.rule;
  return session.exempt ? "(none needed)" : "-";
}

// What becomes of it by the rules in force.
Cell live_cell(const SessionView& session) {
  if (session.exempt) return {"exempt"};
  if (session.allowed) return {"allowed", Colour::good};
  if (session.monitored) return {"not allowed: monitor mode", Colour::doubtful};
  return {"not allowed", Colour::bad};
}

// What would become of it by rules that are not in force, in the mode that they have.
Cell wanted_cell(const SessionView& session) {
  if (session.may_stay()) return {session.database.empty() ? "stays: not guarded" : "stays"};
  if (session.monitored) return {"stays: monitor mode", Colour::doubtful};
  return {"ends", Colour::bad};
}

// A database without a file stays as it is.
SessionView judge_by(const Policy& wanted, const SessionView& live) {
  auto then = live;
  judge_session(then, wanted, now());
  const bool stays = then.database.empty() && wanted.find(live.database) == nullptr;
  return stays ? live : then;
}

ClientResult<std::vector<Row>> read_rows(const Client& client, const std::string& database,
                                         const Policy* wanted) {
  const auto sessions =
      as_list<SessionView>(client.get("/v1/sessions", {{"database", database}}), "sessions");
  if (!sessions) return std::unexpected(sessions.error());
  const auto owners = socket_owners();
  std::vector<Row> rows;
  for (const auto& session : *sessions) {
    Row row{session, std::nullopt, std::nullopt};
    if (wanted != nullptr) row.wanted = judge_by(*wanted, session);
    const auto owner = session.socket == 0 ? owners.end() : owners.find(session.socket);
    if (owner != owners.end()) row.process = owner->second;
    rows.push_back(std::move(row));
  }
  return rows;
}

Json as_json(const Row& row) {
  auto json = encode(row.live);
  json["process"] =
      row.process ? Json{{"pid", row.process->pid}, {"name", row.process->name}} : Json(nullptr);
  if (row.wanted) {
    json["candidate"] = {{"database", row.wanted->database},
                         {"rule", row.wanted->rule},
                         {"allowed", row.wanted->allowed},
                         {"monitored", row.wanted->monitored}};
  }
  return json;
}

Json as_json(const std::vector<Row>& rows) {
  Json list = Json::array();
  for (const auto& row : rows) list.push_back(as_json(row));
  return list;
}

void print_rows(const std::vector<Row>& rows) {
  const bool has_wanted =
      std::ranges::any_of(rows, [](const Row& row) { return bool(row.wanted); });
  std::vector<Column> columns{{"PEER"}, {"DATABASE"},   {"RULE"},   {"LABEL"},
                              {"NOW"},  {"IDLE", true}, {"PROCESS"}};
  if (has_wanted) columns.push_back({"BY THESE FILES"});
  TextTable table(std::move(columns));
  for (const auto& row : rows) {
    std::vector<Cell> cells{
        {format_peer(row.live)}, {row.live.database},
        {format_rule(row.live)}, {row.live.label},
        live_cell(row.live),     {row.live.idle ? format_duration(*row.live.idle) : "-"},
        {format_process(row)}};
    if (has_wanted) cells.push_back(wanted_cell(*row.wanted));
    table.add(std::move(cells));
  }
  table.print();
}

// The rules in `--config`, if they are asked for.
ClientResult<std::optional<LoadedRules>> read_wanted(const Client& client,
                                                     const SessionsOptions& options,
                                                     const StatusView& status) {
  if (options.config.empty()) return std::nullopt;
  auto rules = load_candidate(client, options.config);
  if (!rules) return std::unexpected(rules.error());
  if (!rules->config) rules->policy.mode = status.mode;
  return std::move(*rules);
}

Exit list_sessions(const Cli& cli, const SessionsOptions& options) {
  Client client(cli);
  const auto status = client.status();
  if (!status) return fail(cli, status.error());
  const auto wanted = read_wanted(client, options, *status);
  if (!wanted) return fail(cli, wanted.error());
  const auto rows = read_rows(client, options.database, *wanted ? &(*wanted)->policy : nullptr);
  if (!rows) return fail(cli, rows.error());
  if (cli.json) {
    print_json(document({{"sessions", as_json(*rows)}}));
    return Exit::done;
  }
  const Pager pager(cli);
  if (rows->empty()) tell("nobody is connected to a guarded port");
  print_rows(*rows);
  return Exit::done;
}

// Sources that monitor mode has let pass.
struct Refused {
  std::size_t sources = 0;  // that would be refused
  bool is_all = true;       // false: moatd lists some of its drops alone
};

// What of a database in force everybody would reach.
struct Opened {
  std::string database;
  Endpoint endpoint;
  std::string why;
};

// What enforcing rules would do, and to whom.
struct Effects {
  ClientResult<std::string> caller;       // their address
  std::vector<WhyView> caller_gets = {};  // from each database
  std::vector<Row> ends = {};             // sessions, the caller's first
  std::vector<Opened> opens = {};
  std::vector<DatabaseView> unnamed = {};  // see find_unnamed()
  Refused refused = {};
};

// Why everybody would reach what `guard` guards then; empty: not everybody would. Null: none does.
std::string why_open(const Policy& wanted, const Database* guard) {
  if (guard == nullptr) return "its file there guards it no longer";
  if (wanted.mode_of(*guard) == Mode::monitor)
    return fmt::format("{} guards it then, and is in monitor mode", guard->id);
  if (wide_coverage(wanted, *guard, now()) == kClientAddresses)
    return fmt::format("{} guards it then, whose rules let every address in", guard->id);
  return {};
}

// What of the databases in force would be open to everybody by the files, and is not.
std::vector<Opened> find_opened(const std::vector<DatabaseView>& databases, const Policy& wanted) {
  Policy in_force;
  for (const auto& view : databases) {
    auto& database = in_force.databases.emplace_back();
    database.id = view.id;
    database.endpoint = view.endpoint;
    database.mode = view.mode;
  }
  std::vector<Opened> opened;
  using Guards = std::pair<const Database*, const Database*>;
  std::map<std::pair<Guards, std::optional<Address>>, std::vector<std::uint16_t>> ports;
  for (const auto& change : find_guard_changes(in_force, wanted))
    ports[{{change.before, change.after}, change.address}].push_back(change.port);
  for (const auto& [key, of] : ports) {
    const auto& [old, guard] = key.first;
    if (wanted.find(old->id) == nullptr) continue;  // it stays
    if (guard != nullptr && old->mode == Mode::monitor) continue;
    auto why = why_open(wanted, guard);
    if (why.empty()) continue;
    Endpoint endpoint{key.second, of, of.front() == 0, {}};
    if (endpoint.all) endpoint.ports.clear();
    opened.push_back({old->id, std::move(endpoint), std::move(why)});
  }
  for (const auto& database : in_force.databases) {
    const auto* then = wanted.find(database.id);
    if (then == nullptr || database.mode == Mode::monitor) continue;
    if (wanted.mode_of(*then) == Mode::monitor)
      opened.push_back({database.id, then->endpoint, "it is in monitor mode then"});
  }
  return opened;
}

ClientResult<std::vector<WhyView>> what_caller_gets(const Client& client,
                                                    const std::string& address,
                                                    const Policy* wanted) {
  auto live = as_list<WhyView>(client.get("/v1/why", {{"source", address}}), "answers");
  if (wanted == nullptr || !live) return live;
  const auto source = parse_source(address);
  if (!source) return std::unexpected(misspelt(source.error(), address));
  auto gets = explain(*wanted, *source, "", now());
  std::ranges::copy_if(*live, std::back_inserter(gets),
                       [&](const WhyView& why) { return wanted->find(why.database) == nullptr; });
  return gets;
}

// By the rules as they are asked about: some may let in by now what passed in monitor mode alone.
bool would_be_refused(const Client& client, const DropView& drop, const Policy* wanted) {
  const bool is_live = wanted == nullptr || wanted->find(drop.database) == nullptr;
  const auto source = parse_source(drop.source);
  if (!source || drop.database.empty()) return true;  // no rule can let it in
  if (!is_live) {
    return std::ranges::none_of(explain(*wanted, *source, drop.database, now()), &WhyView::allowed);
  }
  const auto answers = as_list<WhyView>(
      client.get("/v1/why", {{"source", drop.source}, {"database", drop.database}}), "answers");
  return answers && std::ranges::any_of(
                        *answers, [](const WhyView& why) { return !why.allowed && why.monitored; });
}

ClientResult<Refused> count_refused(const Client& client, const Policy* wanted) {
  const auto drops = as<DropsView>(client.get("/v1/drops", {{"since", "0"}}));
  if (!drops) return std::unexpected(drops.error());
  std::map<std::pair<std::string, std::string>, bool> judged;  // by source and database
  std::set<std::string> sources;
  for (const auto& drop : drops->drops) {
    if (!drop.monitored || drop.source.empty()) continue;
    const auto [entry, is_new] = judged.try_emplace({drop.source, drop.database}, false);
    if (is_new) entry->second = would_be_refused(client, drop, wanted);
    if (entry->second) sources.insert(drop.source);
  }
  return Refused{sources.size(), drops->unlisted == 0};
}

ClientResult<Effects> find_effects(const Client& client, const Policy* wanted) {
  Effects effects{.caller = own_address()};
  const auto rows = read_rows(client, "", wanted);
  if (!rows) return std::unexpected(rows.error());
  std::ranges::copy_if(*rows, std::back_inserter(effects.ends), &Row::would_end);
  if (effects.caller) {
    auto gets = what_caller_gets(client, *effects.caller, wanted);
    if (!gets) return std::unexpected(gets.error());
    effects.caller_gets = std::move(*gets);
    std::ranges::stable_partition(effects.ends,
                                  [&](const Row& row) { return row.live.peer == *effects.caller; });
  }
  auto refused = count_refused(client, wanted);
  if (!refused) return std::unexpected(refused.error());
  effects.refused = *refused;
  if (wanted != nullptr) {
    const auto databases = as_list<DatabaseView>(client.get("/v1/databases"), "databases");
    if (!databases) return std::unexpected(databases.error());
    effects.opens = find_opened(*databases, *wanted);
    effects.unnamed = find_unnamed(*databases, *wanted);
  }
  return effects;
}

Json as_json(const Effects& effects) {
  Json gets = Json::array();
  for (const auto& why : effects.caller_gets) {
    gets.push_back({{"database", why.database}, {"allowed", why.allowed}, {"rule", why.rule}});
  }
  Json opens = Json::array();
  for (const auto& [database, endpoint, why] : effects.opens) {
    opens.push_back(
        {{"database", database}, {"endpoint", format_endpoint(endpoint)}, {"why", why}});
  }
  Json unnamed = Json::array();
  for (const auto& database : effects.unnamed) unnamed.push_back(database.id);
  return document({{"caller", effects.caller ? Json(*effects.caller) : Json(nullptr)},
                   {"caller_gets", std::move(gets)},
                   {"ends", as_json(effects.ends)},
                   {"opens", std::move(opens)},
                   {"unnamed", std::move(unnamed)},
                   {"refused_sources", effects.refused.sources}});
}

void print_caller(const Effects& effects) {
  if (!effects.caller) {
    tell(fmt::format("note: {}", effects.caller.error().refusal.message));
    return;
  }
  print_line(
      fmt::format("Your address, {}, by the SSH session that this runs in:", *effects.caller));
  if (effects.caller_gets.empty()) print_line("  no database is guarded");
  for (const auto& why : effects.caller_gets) {
    const auto verdict = why.allowed
                             ? paint(fmt::format("allowed by {}", why.rule), Colour::good)
                             : paint(fmt::format("NOT allowed ({})", why.reason), Colour::doubtful);
    print_line(fmt::format("  {}: {}", printable(why.database), verdict));
  }
  print_line("");
}

void print(const Effects& effects, const std::string& folder) {
  print_caller(effects);
  if (!effects.ends.empty()) {
    print_line(paint("These sessions would end:", Colour::bad));
    TextTable table({{"PEER"}, {"DATABASE"}, {"IDLE", true}, {"PROCESS"}, {"NOTE"}});
    for (const auto& row : effects.ends) {
      const bool is_callers = effects.caller && row.live.peer == *effects.caller;
      table.add({{format_peer(row.live)},
                 {row.judged().database},
                 {row.live.idle ? format_duration(*row.live.idle) : "-"},
                 {format_process(row)},
                 {is_callers ? "YOURS" : "", Colour::bad}});
    }
    table.print();
  }
  for (const auto& [database, endpoint, why] : effects.opens) {
    print_line(paint(fmt::format("! {} of {} would be open to everyone: {}",
                                 format_endpoint(endpoint), printable(database), printable(why)),
                     Colour::bad));
  }
  for (const auto& database : effects.unnamed) {
    print_line(paint(fmt::format("! {}", printable(describe_unnamed(database, folder))),
                     Colour::doubtful));
  }
  std::set<std::string> peers;
  for (const auto& row : effects.ends) peers.insert(row.live.peer);
  tell(effects.ends.empty()
           ? "no session would end now"
           : fmt::format(
                 "{} from {} would end now", plural(effects.ends.size(), "session"),
                 peers.size() == 1 ? "1 address" : fmt::format("{} addresses", peers.size())),
       effects.ends.empty() ? Colour::good : Colour::bad);
  if (const auto& [sources, is_all] = effects.refused; sources > 0) {
    tell(fmt::format("{}{} seen since moatd's start would be refused: moat drops",
                     is_all ? "" : "at least ", plural(sources, "source")),
         Colour::doubtful);
  }
}

Exit show_effects(const Cli& cli, const SessionsOptions& options) {
  Client client(cli);
  const auto status = client.status();
  if (!status) return fail(cli, status.error());
  const auto wanted = read_wanted(client, options, *status);
  if (!wanted) return fail(cli, wanted.error());
  const auto effects = find_effects(client, *wanted ? &(*wanted)->policy : nullptr);
  if (!effects) return fail(cli, effects.error());
  if (cli.json) {
    print_json(as_json(*effects));
  } else {
    print(*effects, options.config);
    if (!status->settings.drop_sessions && !effects->ends.empty()) {
      tell("drop-sessions is false: they would not be ended at once, but their packets dropped");
    }
  }
  return effects->ends.empty() ? Exit::done : Exit::refused;
}

Option config_option(SessionsOptions& options, std::string_view help) {
  return {"--config", "DIR", &options.config, help};
}

}  // namespace

Action command::sessions(Options& options) {
  const auto values = std::make_shared<SessionsOptions>();
  options = {{"--database", "ID", &values->database, "With this database alone"},
             config_option(*values, "Also what these rule files would make of each")};
  return make_action(values, list_sessions);
}

Action command::preflight(Options& options) {
  const auto values = std::make_shared<SessionsOptions>();
  options = {config_option(*values, "By these rule files instead of the rules in force")};
  return make_action(values, show_effects);
}

}  // namespace moat
