// SPDX-License-Identifier: BSD-2-Clause
// moat rules suggest: rules for those who were refused lately, for somebody to choose from.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "control/cli/output.h"
#include "control/cli/suggestions.h"
#include "control/policy/coverage.h"
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

std::uint64_t count_addresses(const Suggestion& suggestion) {
  if (suggestion.network != nullptr) return count_client_addresses(suggestion.network->cidrs);
  return std::uint64_t{1} << (32 - suggestion.cidr.length);
}

std::string comment(const Suggestion& suggestion) {
  const auto addresses = count_addresses(suggestion);
  const auto who = addresses == 1
                       ? std::string()
                       : fmt::format("{} of its {} addresses, ", suggestion.sources, addresses);
  return fmt::format("{}{}, first {}, last {}{}", who, packets(suggestion.packets),
                     seconds(suggestion.first), seconds(suggestion.last),
                     suggestion.monitored ? ", passed: monitor mode" : "");
}

SourceKind kind_of(const Suggestion& suggestion) {
  return suggestion.network == nullptr ? SourceKind::cidr : suggestion.network->kind;
}

// As a rule names it.
std::string source_of(const Suggestion& suggestion) {
  return suggestion.network == nullptr ? format_prefix(suggestion.cidr) : suggestion.network->id;
}

// The rules that name them need them in the same file.
void print_peerings(const Suggestions& found) {
  bool is_first = true;
  for (const auto& suggestion : found.suggestions) {
    if (kind_of(suggestion) != SourceKind::net_peering) continue;
    if (std::exchange(is_first, false)) print_line("net-peerings:");
    print_line(printable(fmt::format("  - id: {}", suggestion.network->id)));
    print_line(fmt::format("    cidr: {}", format_prefix(suggestion.network->cidrs.front())));
  }
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
    print_line(printable(fmt::format("  - {}: {}  # {}", to_string(kind_of(suggestion)),
                                     source_of(suggestion), comment(suggestion))));
  print_peerings(found);
}

Json as_json(const DatabaseView& database, const Suggestions& found) {
  Json list = Json::array();
  for (const auto& suggestion : found.suggestions) {
    auto key = std::string(to_string(kind_of(suggestion)));
    std::ranges::replace(key, '-', '_');
    list.push_back({{key, source_of(suggestion)},
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

bool is_named(const std::vector<RuleView>& rules, std::string_view type, const std::string& id) {
  return std::ranges::any_of(
      rules, [&](const RuleView& rule) { return rule.type == type && rule.source == id; });
}

// The net peerings of the database, the smallest first.
ClientResult<std::vector<NamedNetwork>> read_peerings(const Client& client,
                                                      const std::string& database,
                                                      const std::vector<RuleView>& rules) {
  const auto peerings = as_list<NetPeeringView>(
      client.get("/v1/net-peerings", {{"database", database}}), "net_peerings");
  if (!peerings) return std::unexpected(peerings.error());
  std::vector<NamedNetwork> networks;
  for (const auto& peering : *peerings) {
    const auto cidr = parse_prefix(peering.cidr);
    if (!cidr || is_named(rules, "net-peering", peering.id)) continue;
    networks.push_back({SourceKind::net_peering, peering.id, {*cidr}});
  }
  std::ranges::stable_sort(networks, std::ranges::greater{}, [](const NamedNetwork& network) {
    return network.cidrs.front().length;
  });
  return networks;
}

// The managed ranges, the one with the fewest addresses first.
ClientResult<std::vector<NamedNetwork>> read_ranges(const Client& client,
                                                    const std::vector<RuleView>& rules) {
  const auto ranges = as_list<ManagedRangeView>(client.get("/v1/managed-ranges"), "managed_ranges");
  if (!ranges) return std::unexpected(ranges.error());
  std::vector<NamedNetwork> networks;
  for (const auto& each : *ranges) {
    const bool is_usable = each.prefixes <= kMaxNetworkCidrs && !each.withdrawn;
    if (!is_usable || is_named(rules, "managed-range", each.id)) continue;
    const auto range = as<ManagedRangeView>(client.get("/v1/managed-ranges/" + escape(each.id)));
    if (!range) return std::unexpected(range.error());
    NamedNetwork network{SourceKind::managed_range, each.id, {}};
    for (const auto& text : range->cidrs)
      if (const auto cidr = parse_prefix(text)) network.cidrs.push_back(*cidr);
    networks.push_back(std::move(network));
  }
  std::ranges::stable_sort(networks, {}, [](const NamedNetwork& network) {
    return count_client_addresses(network.cidrs);
  });
  return networks;
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
  auto networks = read_peerings(client, database->id, *rules);
  if (!networks) return fail(cli, networks.error());
  auto ranges = read_ranges(client, *rules);
  if (!ranges) return fail(cli, ranges.error());
  std::ranges::move(*ranges, std::back_inserter(*networks));
  const auto room = limits::rules - std::min(limits::rules, rules->size());
  const auto found = suggest_rules(drops->drops, *database, *networks, room, is_allowed);
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
