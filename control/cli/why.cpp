// SPDX-License-Identifier: BSD-2-Clause
// moat why: what a source would get, and because of what.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <tuple>

#include "control/cli/filter_behind.h"
#include "control/cli/output.h"
#include "control/cli/rule_load.h"
#include "control/service/explain.h"
#include "control/service/status_text.h"
#include "control/text/nearest.h"

namespace moat {
namespace {

struct WhyOptions {
  std::string source;
  std::string database;
  std::string config;
};

std::string format_place(const Place& place) {
  if (place.line == 0) return place.file;
  return fmt::format("{}:{}:{}", place.file, place.line, place.column);
}

// The line of the file at that place as it is now, if we may read it.
std::string read_line(const Place& place) {
  std::ifstream file(place.line == 0 ? "" : place.file);
  std::string line;
  for (unsigned i = 0; i < place.line; i++) {
    if (!std::getline(file, line)) return {};
  }
  const auto first = line.find_first_not_of(" \t\r");
  return first == std::string::npos ? "" : line.substr(first);
}

void fact(std::string_view name, std::string_view value) {
  if (!value.empty()) print_line(fmt::format("  {:<12} {}", name, printable(value)));
}

std::string describe(const DropView& drop) {
  return fmt::format("{} ({}), {} on {}, {} packet{}{}",
                     format_time(std::chrono::floor<std::chrono::seconds>(drop.last)),
                     ago(drop.last), drop.reason, drop.interface, format_number(drop.packets),
                     drop.packets == 1 ? "" : "s",
                     drop.monitored ? ", passed in monitor mode" : "");
}

// The line of today's file, unless something else is in force in its place. `status`: empty for
// answers from files.
void print_place(const WhyView& why, const StatusView& status) {
  fact("see", format_place(why.place));
  const auto& [files, pending] = std::tie(status.files, status.pending);
  if (std::ranges::find(pending, why.place.file, &Propagation::path) != pending.end()) {
    fact("file", "has changed, and that is not enforced yet: its lines may be others by now");
    return;
  }
  const auto file = std::ranges::find(files, why.place.file, &FileStatus::path);
  if (file == files.end() || file->state == FileState::active) {
    fact("file says", read_line(why.place));
    return;
  }
  fact("file", fmt::format("{}: what was last enforced stays (see moat status)",
                           file->state == FileState::vanished ? "vanished" : "held back"));
}

// "allowed, but dropped at port 5432 of 10.0.0.5"; empty: no other database decides otherwise.
std::string exceptions(const WhyView& why) {
  std::vector<std::string> endpoints;
  for (const auto& [endpoint, database, allowed] : why.elsewhere)
    if (allowed != (why.allowed || why.monitored)) endpoints.push_back(endpoint);
  if (endpoints.empty()) return "";
  return fmt::format(", but {} at {}", why.allowed || why.monitored ? "dropped" : "let in",
                     fmt::join(endpoints, ", "));
}

// Of one port of a database that the source reaches: what is dropped behind Moat all the same.
struct Behind {
  std::string database;
  std::uint16_t port = 0;
  DropBehind drop;
};

std::string describe(const Behind& behind) {
  const auto& [is_certain, by, condition] = behind.drop;
  return fmt::format(
      "port {}: {} {}{}", behind.port,
      is_certain ? "another firewall drops it:" : "another firewall may drop it:", by,
      condition.empty() || is_certain ? "" : fmt::format("; Moat cannot tell: {}", condition));
}

// The command looks at it: the daemon starts no programs. What was not looked at goes to `unread`.
std::vector<Behind> find_behind(const std::vector<WhyView>& answers,
                                const std::vector<DatabaseView>& databases,
                                std::vector<std::string>& unread) {
  std::vector<Behind> found;
  std::optional<HostFilters> filters;
  for (const auto& why : answers) {
    const auto source = parse_address(why.source);
    const auto database = std::ranges::find(databases, why.database, &DatabaseView::id);
    if (!source || !(why.allowed || why.monitored) || database == databases.end()) continue;
    if (!filters) filters = read_host_filters();
    const auto& endpoint = database->endpoint;
    for (const auto port : endpoint.ports) {
      if (const auto drop = find_drop_behind(*filters, *source, {port, endpoint.address}))
        found.push_back({why.database, port, *drop});
    }
  }
  if (filters) unread = filters->unread;
  return found;
}

void print_answer(const WhyView& why, const StatusView& status, const std::vector<Behind>& behind) {
  auto verdict = why.allowed ? std::string("allowed") : fmt::format("dropped ({})", why.reason);
  auto colour = why.allowed ? Colour::good : Colour::bad;
  if (!why.allowed && why.monitored) {
    verdict = fmt::format("would be dropped ({}), passes in monitor mode", why.reason);
    colour = Colour::doubtful;
  }
  if (const auto but = exceptions(why); !but.empty()) {
    verdict += but;
    colour = Colour::doubtful;
  }
  print_line(fmt::format("{} to {}: {}", printable(why.source), printable(why.database),
                         paint(printable(verdict), colour)));
  fact("why", why.detail);
  for (const auto& [endpoint, database, allowed] : why.elsewhere)
    fact("elsewhere", fmt::format("database {} has {}, and decides there: {}", database, endpoint,
                                  allowed ? "let in" : "dropped"));
  if (!why.rule.empty()) fact("rule", fmt::format("{}  {}", why.rule, why.rule_source));
  fact("label", why.label);
  for (const auto& each : behind)
    if (each.database == why.database) fact("behind Moat", describe(each));
  print_place(why, status);
  if (why.generation == 0) {
    fact("generation", "none: answered from files, not from what is enforced");
    return;
  }
  fact("generation",
       fmt::format("{}{}", why.generation,
                   why.table_agrees.value_or(false) ? ", whose table says the same" : ""));
  if (!why.rule.empty()) fact("last hit", why.last_hit ? ago(why.last_hit) : "never");
  if (parse_address(why.source))
    fact("last drop", why.last_drop ? describe(*why.last_drop) : "none of late");
  if (!why.table_agrees.value_or(true)) {
    print_line(paint("  ! the live table says otherwise: report this as a bug", Colour::bad));
  }
}

// What makes the answers other than they seem, a sentence each.
std::vector<std::string> reservations(const std::vector<WhyView>& answers,
                                      const StatusView& status) {
  std::vector<std::string> all;
  const auto by_trusted =
      std::ranges::find_if(answers, [](const WhyView& why) { return !why.trusted_way.empty(); });
  if (by_trusted != answers.end()) {
    all.push_back(
        fmt::format("{} is reached by {}, which is trusted: what comes by it gets in without rules",
                    by_trusted->source, by_trusted->trusted_way));
  }
  if (const auto ways = unjudged(status); !ways.empty()) all.push_back(ways);
  for (const auto& problem : status.problems)
    if (problem.code == code::address_gone) all.push_back(problem.message);
  if (status.clock_was_at) {
    all.push_back(
        fmt::format("the clock has been at {}, and rules that expire before that stay "
                    "expired",
                    format_time(*status.clock_was_at)));
  }
  return all;
}

// `status` as it was when they were given; an empty one for answers from files.
Exit print_answers(const Cli& cli, const std::vector<WhyView>& answers,
                   const std::optional<StatusView>& status,
                   const std::vector<DatabaseView>& databases) {
  const auto but = status ? reservations(answers, *status) : std::vector<std::string>();
  std::vector<std::string> unread;
  const auto behind = find_behind(answers, databases, unread);
  if (cli.json) {
    auto json = list_document("answers", answers);
    json["reservations"] = but;
    json["behind"] = Json::array();
    for (const auto& [database, port, drop] : behind) {
      json["behind"].push_back({{"database", database},
                                {"port", port},
                                {"dropped", drop.is_certain ? "yes" : "maybe"},
                                {"by", drop.by},
                                {"condition", drop.condition}});
    }
    json["not_looked_at"] = unread;
    print_json(json);
    return Exit::done;
  }
  if (answers.empty() && status) tell("no database is guarded: every source reaches everything");
  for (const auto& answer : answers) print_answer(answer, status.value_or(StatusView()), behind);
  for (const auto& sentence : unread) tell(fmt::format("note: {}", printable(sentence)));
  for (const auto& sentence : but)
    print_line(paint(fmt::format("! {}. See moat status", printable(sentence)), Colour::bad));
  return Exit::done;
}

Exit answer_from_files(const Cli& cli, const WhyOptions& options) {
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  const auto rules = load_rules(options.config, {now, nullptr, false});
  for (const auto& file : rules.files) {
    if (has_error(file.faults)) print_faults(file.faults, stderr);
  }
  if (rules.has_error()) tell("files with errors do not count below", Colour::doubtful);
  const auto source = parse_source(options.source);
  // Which addresses the host of these files has is not known here.
  const OwnTraffic own{lets_own_traffic_by(rules.config.value_or(Config{}),
                                           list_link_names().value_or(std::vector<LinkNames>{})),
                       {},
                       {}};
  const auto answers = source ? explain(rules.policy, *source, options.database, now, own)
                              : *explain_ipv6(rules.policy, options.source, options.database, own);
  if (answers.empty() && !options.database.empty()) {
    std::vector<std::string_view> known;
    for (const auto& database : rules.policy.databases) known.push_back(database.id);
    const auto near = nearest(options.database, known);
    return fail(cli, {Exit::refused,
                      {Refusal::Kind::not_found,
                       fmt::format("no database {} in {}", options.database, options.config),
                       near.empty() ? "leave out --database to hear about all"
                                    : fmt::format("did you mean {}?", near),
                       {}}});
  }
  if (answers.empty() && !rules.has_error())
    tell(fmt::format("no file in {} names a database", options.config));
  const auto exit = print_answers(cli, answers, std::nullopt, {});
  return rules.has_error() ? Exit::refused : exit;
}

Exit explain_source(const Cli& cli, const WhyOptions& options) {
  const auto source = parse_source(options.source);
  if (!source && !explain_ipv6({}, options.source, "")) {
    return fail(cli, misspelt(source.error(), options.source));
  }
  if (!options.config.empty()) return answer_from_files(cli, options);
  Client client(cli);
  const auto answers = as_list<WhyView>(
      client.get("/v1/why", {{"source", options.source}, {"database", options.database}}),
      "answers");
  if (!answers) return fail(cli, answers.error());
  auto status = client.status();
  if (!status) return fail(cli, status.error());
  const auto databases = as_list<DatabaseView>(client.get("/v1/databases"), "databases");
  if (!databases) return fail(cli, databases.error());
  return print_answers(cli, *answers, *std::move(status), *databases);
}

}  // namespace

Action command::why(Options& options) {
  const auto values = std::make_shared<WhyOptions>();
  options = {
      {"SOURCE", "", &values->source, "An IPv4 or IPv6 address"},
      {"--database", "ID", &values->database, "Asked of this database alone"},
      {"--config", "DIR", &values->config, "Answer from these rule files, without a daemon"}};
  return make_action(values, explain_source);
}

}  // namespace moat
