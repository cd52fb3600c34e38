// SPDX-License-Identifier: BSD-2-Clause
// moat rules suggest: rules for those who were refused lately, for somebody to choose from.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "control/cli/output.h"
#include "control/cli/suggestions.h"
#include "control/text/input_limits.h"

namespace moat {
namespace {

struct SuggestOptions {
  std::string database;
};

// The one to suggest rules for.
ClientResult<DatabaseView> choose(const std::vector<DatabaseView>& databases,
                                  const std::string& wanted) {
  const auto refuse = [](Exit exit, std::string message, std::string remedy) {
    return std::unexpected(
        CommandError{exit, {Refusal::Kind::invalid, std::move(message), std::move(remedy), {}}});
  };
  if (wanted.empty() && databases.size() == 1) return databases.front();
  if (wanted.empty() && databases.empty())
    return refuse(Exit::refused, "no database is guarded", "see moat status");
  if (wanted.empty())
    return refuse(Exit::refused, "there are several databases", "say which with --database");
  const auto found = std::ranges::find(databases, wanted, &DatabaseView::id);
  if (found != databases.end()) return *found;
  return refuse(Exit::refused, fmt::format("there is no database \"{}\"", wanted),
                "see `moat databases list`");
}

// "port: 5432", as a file has it
std::string endpoint_yaml(const Endpoint& endpoint) {
  std::string text = endpoint.all ? "ports: all"
                     : endpoint.ports.size() == 1
                         ? fmt::format("port: {}", endpoint.ports.front())
                         : fmt::format("ports: [{}]", fmt::join(endpoint.ports, ", "));
  if (endpoint.address) text += fmt::format(", address: {}", format_address(*endpoint.address));
  if (endpoint.ipv6) text += *endpoint.ipv6 == Ipv6::closed ? ", ipv6: closed" : ", ipv6: open";
  return text;
}

std::string seconds(std::chrono::system_clock::time_point time) {
  return format_time(std::chrono::floor<std::chrono::seconds>(time));
}

std::string packets(std::uint64_t count) {
  return count == 1 ? "1 packet" : fmt::format("{} packets", count);
}

std::string comment(const Suggestion& suggestion) {
  const auto who = suggestion.sources == 1
                       ? std::string()
                       : fmt::format("{} of its {} addresses, ", suggestion.sources,
                                     std::uint64_t{1} << (32 - suggestion.cidr.length));
  return fmt::format("{}{}, first {}, last {}{}", who, packets(suggestion.packets),
                     seconds(suggestion.first), seconds(suggestion.last),
                     suggestion.monitored ? ", passed: monitor mode" : "");
}

void print_yaml(const DatabaseView& database, const Suggestions& found) {
  print_line(
      printable(fmt::format("# Refused lately at {}. Nothing was changed: take over what is "
                            "meant into",
                            database.id)));
  print_line(printable(fmt::format("# {}, or use moat rules add.", database.path)));
  print_line("database: " + database.id);
  print_line(fmt::format("endpoint: {{{}}}", endpoint_yaml(database.endpoint)));
  print_line(found.suggestions.empty() ? "rules: []" : "rules:");
  for (const auto& suggestion : found.suggestions)
    print_line(
        fmt::format("  - cidr: {}  # {}", format_prefix(suggestion.cidr), comment(suggestion)));
}

Json as_json(const DatabaseView& database, const Suggestions& found) {
  Json list = Json::array();
  for (const auto& suggestion : found.suggestions) {
    list.push_back({{"cidr", format_prefix(suggestion.cidr)},
                    {"sources", suggestion.sources},
                    {"packets", suggestion.packets},
                    {"first", seconds(suggestion.first)},
                    {"last", seconds(suggestion.last)},
                    {"monitored", suggestion.monitored}});
  }
  Json left_out = Json::object();
  for (const auto& [why, count] : found.left_out) left_out[why] = count;
  return document({{"database", database.id},
                   {"suggestions", std::move(list)},
                   {"left_out", std::move(left_out)}});
}

Exit suggest(const Cli& cli, const SuggestOptions& options) {
  const Client client(cli);
  const auto databases = as_list<DatabaseView>(client.get("/v1/databases"), "databases");
  if (!databases) return fail(cli, databases.error());
  const auto database = choose(*databases, options.database);
  if (!database) return fail(cli, database.error());
  const auto drops =
      as<DropsView>(client.get("/v1/drops", {{"database", database->id}, {"since", "0"}}));
  if (!drops) return fail(cli, drops.error());
  const auto rules =
      as_list<RuleView>(client.get("/v1/rules", {{"database", database->id}}), "rules");
  if (!rules) return fail(cli, rules.error());
  const auto is_allowed = [&](Address source) {
    const auto answers = as_list<WhyView>(
        client.get("/v1/why", {{"source", format_address(source)}, {"database", database->id}}),
        "answers");
    return answers && !answers->empty() && answers->front().allowed;
  };
  const auto room = limits::rules - std::min(limits::rules, rules->size());
  const auto found = suggest_rules(drops->drops, *database, room, is_allowed);
  if (cli.json) {
    print_json(as_json(*database, found));
    return Exit::done;
  }
  print_yaml(*database, found);
  for (const auto& [why, count] : found.left_out)
    tell(printable(fmt::format("left out: {}: {}", plural(count, "source"), why)));
  if (drops->unlisted > 0)
    tell("more packets were dropped than moat drops lists: see moat counters");
  return Exit::done;
}

}  // namespace

Action command::suggest_rules(Options& options) {
  const auto values = std::make_shared<SuggestOptions>();
  options = {{"--database", "ID", &values->database,
              "For this database; may be left out where there is one"}};
  return make_action(values, suggest);
}

}  // namespace moat
