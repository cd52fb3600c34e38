// SPDX-License-Identifier: BSD-2-Clause
// moat status: first a sentence, then what is wrong, then what is well.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "control/cli/nat_checks.h"
#include "control/cli/outage.h"
#include "control/cli/output.h"
#include "control/cli/pager.h"
#include "control/policy/endpoint.h"
#include "control/service/status_text.h"
#include "dataplane/host/pinned_guard.h"

namespace moat {
namespace {

// Rules of a database by state: "3 active, 1 expired". Those of a file that is held back or gone
// are in force: the column beside says what is wrong with the file.
std::string rule_states(const std::vector<RuleView>& rules, const DatabaseView& database) {
  std::map<RuleState, std::size_t> counts;
  for (const auto& rule : rules) {
    if (rule.database != database.id) continue;
    ++counts[rule.state == RuleState::expired ? RuleState::expired : RuleState::active];
  }
  std::string text;
  for (const auto& [state, count] : counts) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, word(state));
  }
  if (!text.empty()) return text;
  return database.mode == Mode::monitor ? "none: would drop everybody" : "none: nobody is allowed";
}

// Each with what mends it below.
void print_problems(const std::vector<Problem>& problems, Colour colour, std::string_view mark) {
  for (const auto& problem : problems) {
    print_line(paint(fmt::format("{} {}", mark, printable(problem.message)), colour));
    print_some_faults(problem.faults, stdout);
    if (!problem.remedy.empty()) print_line(fmt::format("  -> {}", printable(problem.remedy)));
  }
  if (!problems.empty()) print_line("");
}

std::string describe_last(const std::optional<Propagation>& last, Milliseconds bound) {
  if (!last || !last->enforced)
    return fmt::format("none since moatd started (bound {})", format_duration(bound));
  return fmt::format("{} from written to enforced (bound {}), {}{}",
                     format_duration(*last->enforced - last->written), format_duration(bound),
                     ago(last->enforced),
                     last->path.empty() ? "" : fmt::format(": {}", printable(last->path)));
}

std::string describe(const StatusView::Backstop& backstop) {
  if (!backstop.wanted) return "off, as configured";
  if (backstop.at_sockets)
    return fmt::format("on, cgroup {}, {}", printable(backstop.cgroup),
                       backstop.before_sockets ? "and before sockets" : "not before sockets");
  return backstop.before_sockets ? "OFF at sockets, on before sockets" : "OFF";
}

std::string describe(const FastPathStatus& fast_path) {
  if (!fast_path.is_connected) return "moat-dpdk is not reached";
  if (fast_path.generation == 0) return "no generation: lets nothing through";
  return fmt::format("generation {}, {}, {}{}", fast_path.generation,
                     plural(fast_path.lcores, "lcore"),
                     fast_path.has_hugepages ? "with hugepages" : "without hugepages",
                     fast_path.is_behind ? "; BEHIND" : "");
}

// Than lo, the host's way to itself.
bool trusts_others(const Config& settings) {
  return std::ranges::any_of(settings.trusted_interfaces,
                             [](const std::string& name) { return name != "lo"; });
}

std::string describe(const FleetView& fleet) {
  return fmt::format("{}, push {}, heard of {}", fleet.name, fleet.push, ago(fleet.listed));
}

// "2 kept by moat-agent, the latest checked 3 min ago"
std::string describe(const std::vector<RangeSourceView>& sources) {
  const auto oldest = std::ranges::min(sources, {}, &RangeSourceView::fetched).fetched;
  return fmt::format("{} kept by moat-agent, checked {}{}", plural(sources.size(), "managed range"),
                     ago(oldest), sources.size() == 1 ? "" : " or later");
}

void print_facts(const StatusView& status, const std::vector<std::string>& firewalls) {
  const auto fact = [](std::string_view name, std::string_view value) {
    print_line(fmt::format("{:<15} {}", name, value));
  };
  fact("Generation",
       fmt::format("{} ({}, table of {})", status.generation,
                   status.prefixes == 1 ? "1 prefix" : format_number(status.prefixes) + " prefixes",
                   format_bytes(status.table_bytes)));
  const auto others = status.mode == Mode::monitor ? status.databases - status.monitored.size()
                                                   : status.monitored.size();
  if (others == 0) {
    fact("Mode", to_string(status.mode));
  } else {
    fact("Host's mode",
         fmt::format("{} (a database's own goes before it, see below)", to_string(status.mode)));
  }
  fact("Last change", describe_last(status.last, status.bound));
  if (!status.pending.empty()) fact("Pending", plural(status.pending.size(), "change"));
  fact("Backstop", describe(status.backstop));
  if (status.backstop.at_sockets && !status.backstop.before_sockets)
    fact("", printable(status.backstop.not_before));
  if (status.fast_path.is_wanted || status.fast_path.is_connected)
    fact("Fast path", describe(status.fast_path));
  if (const auto& trusted = status.settings.trusted_interfaces; trusts_others(status.settings))
    fact("Trusted", printable(fmt::format("{} (the backstop does not check what comes by "
                                          "them)",
                                          fmt::join(trusted, ", "))));
  if (!status.sources.empty()) fact("Ranges", printable(describe(status.sources)));
  if (status.fleet) fact("Fleet", printable(describe(*status.fleet)));
  if (!firewalls.empty())
    fact("Beside Moat",
         fmt::format("{} (moat why tells what is dropped there)", fmt::join(firewalls, ", ")));
  fact("Daemon", fmt::format("moatd {}, started {}", printable(status.version), ago(status.since)));
}

void print_interfaces(const StatusView& status) {
  TextTable table({{"INTERFACE"}, {"MODE"}, {"PROGRAM ID", true}});
  for (const auto& interface : status.interfaces) {
    const bool is_ours = interface.is_attached();
    const std::string mode = interface.moved      ? "moved"
                             : !interface.present ? "absent"
                             : interface.foreign  ? "foreign"
                                                  : std::string(word(interface.mode));
    const auto colour = !is_ours                                ? Colour::bad
                        : interface.mode == AttachMode::generic ? Colour::doubtful
                                                                : Colour::good;
    table.add({{interface.name},
               {mode, colour},
               {interface.program_id == 0 ? "-" : fmt::format("{}", interface.program_id)}});
  }
  if (table.empty()) return;
  print_line("");
  table.print();
}

void print_fast_path(const FastPathStatus& fast_path) {
  TextTable table({{"FAST PATH"},
                   {"INTERFACE"},
                   {"LINK"},
                   {"RECEIVED", true},
                   {"LOST", true},
                   {"SENT", true},
                   {"NO ROOM", true}});
  for (const auto& port : fast_path.ports) {
    table.add({{port.name},
               {or_dash(port.interface)},
               {port.has_link ? "up" : "down", port.has_link ? Colour::good : Colour::bad},
               {format_number(port.rx_packets)},
               {format_number(port.rx_missed + port.rx_no_mbuf + port.rx_errors)},
               {format_number(port.tx_packets)},
               {format_number(port.tx_full)}});
  }
  if (table.empty()) return;
  print_line("");
  table.print();
}

void print_databases(const std::vector<DatabaseView>& databases,
                     const std::vector<RuleView>& rules) {
  TextTable table({{"DATABASE"}, {"ENDPOINT"}, {"MODE"}, {"STATE"}, {"RULES"}, {"FILE"}});
  for (const auto& database : databases) {
    const bool is_active = database.state == FileState::active;
    table.add({{database.id},
               {format_endpoint(database.endpoint)},
               {std::string(to_string(database.mode)),
                database.mode == Mode::monitor ? Colour::doubtful : Colour::none},
               {database.is_placeholder ? "placeholder" : std::string(word(database.state)),
                is_active ? Colour::good : Colour::bad},
               {rule_states(rules, database)},
               {database.path}});
  }
  if (table.empty()) return;
  print_line("");
  table.print();
}

// Those of the databases are in their table.
void print_other_files(const StatusView& status) {
  TextTable table({{"OTHER FILE"}, {"STATE"}});
  for (const auto& file : status.files) {
    if (!file.id.empty()) continue;
    table.add({{file.path},
               {std::string(word(file.state)),
                file.state == FileState::active ? Colour::good : Colour::bad}});
  }
  if (table.empty()) return;
  print_line("");
  table.print();
}

// What the host's NAT rules do to guarded ports. The command looks at it: the daemon starts no
// programs. Returns the names of other firewalls.
std::vector<std::string> add_nat_findings(const std::vector<DatabaseView>& databases,
                                          StatusView& status) {
  std::vector<Endpoint> endpoints;
  std::vector<std::string> ids;
  for (const auto& database : databases) {
    endpoints.push_back(database.endpoint);
    ids.push_back(database.id);
  }
  if (endpoints.empty()) return {};
  auto nat = read_nat_rules();
  for (const auto& [index, message, remedy, ports] :
       find_ways_round(endpoints, nat.rules, read_host_facts(), status.backstop.at_sockets, ids)) {
    status.problems.push_back(make_problem(code::nat_past_guard, ids[index],
                                           fmt::format("database {}: {}", ids[index], message),
                                           remedy));
  }
  for (const auto& what : nat.unread)
    status.notices.push_back(make_problem(code::nat_unread, "", what));
  sort_problems(status.problems);
  status.headline = headline(status);
  return std::move(nat.firewalls);
}

struct StatusOptions {
  bool quiet = false;
  std::string bpffs;
  std::string state;
};

Json as_json(const Document& answer, const StatusView& status, const std::vector<RuleView>& rules,
             const std::vector<std::string>& firewalls) {
  auto json = *answer;
  const auto encoded = encode(status);
  for (const auto* key : {"problems", "notices", "headline"}) json[key] = encoded[key];
  json["firewalls"] = firewalls;
  json.update(list_document("rules", rules));
  return json;
}

void print(const StatusView& status, const std::vector<DatabaseView>& databases,
           const std::vector<RuleView>& rules, const std::vector<std::string>& firewalls) {
  print_line(paint(printable(status.headline), is_well(status) ? Colour::good : Colour::bad));
  print_line("");
  print_problems(status.problems, Colour::bad, "!");
  print_problems(status.notices, Colour::doubtful, "-");
  print_facts(status, firewalls);
  print_interfaces(status);
  print_fast_path(status.fast_path);
  print_databases(databases, rules);
  print_other_files(status);
}

// Without moatd, or while it does not answer, the kernel itself tells, to root.
Exit show_what_stands(const Cli& cli, const StatusOptions& options, const CommandError& failure) {
  const bool is_usual = cli.socket == paths::socket;
  const auto pins = options.bpffs.empty() && is_usual ? std::string(paths::bpffs) : options.bpffs;
  if ((!failure.is_stopped && !failure.is_silent) || pins.empty()) return fail(cli, failure);
  const auto guard = look_at_pins(pins);
  if (!guard) return fail(cli, failure);
  if (options.quiet) return failure.exit;
  auto status = describe_standing(*guard, pins, failure.is_silent);
  if (!failure.is_silent)
    add_unconfirmed(options.state.empty() && is_usual ? std::string(paths::state) : options.state,
                    status);
  if (cli.json) {
    print_json(standing_document(*guard, status, failure));
  } else {
    print_line(paint(printable(status.headline), Colour::bad));
    print_line("");
    print_problems(status.problems, Colour::bad, "!");
    print_problems(status.notices, Colour::doubtful, "-");
  }
  return failure.exit;
}

Exit show_status(const Cli& cli, const StatusOptions& options) {
  const Client client(cli);
  const auto answer = client.get("/v1/status");
  auto status = as<StatusView>(answer);
  if (!status) return show_what_stands(cli, options, status.error());
  ClientResult<std::vector<RuleView>> rules;
  ClientResult<std::vector<DatabaseView>> databases;
  if (status->policy_known) {
    rules = as_list<RuleView>(client.get("/v1/rules"), "rules");
    if (!rules) return fail(cli, rules.error());
    databases = as_list<DatabaseView>(client.get("/v1/databases"), "databases");
    if (!databases) return fail(cli, databases.error());
  }
  const auto firewalls = add_nat_findings(*databases, *status);
  if (!options.quiet && cli.json) print_json(as_json(*answer, *status, *rules, firewalls));
  if (!options.quiet && !cli.json) {
    const Pager pager(cli);
    print(*status, *databases, *rules, firewalls);
  }
  return status->problems.empty() ? Exit::done : Exit::refused;
}

}  // namespace

Action command::status(Options& options) {
  const auto values = std::make_shared<StatusOptions>();
  options = {{"--quiet", "", &values->quiet, "Say nothing; the exit code tells"},
             {"--bpffs", "DIR", &values->bpffs,
              "Where moatd's pins are, to look there if it is not running"},
             {"--state", "DIR", &values->state, "Where its state is, for the same"}};
  return make_action(values, show_status);
}

}  // namespace moat
