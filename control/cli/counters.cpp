// SPDX-License-Identifier: BSD-2-Clause
// moat counters
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "control/cli/outage.h"
#include "control/cli/output.h"

namespace moat {
namespace {

struct CountersOptions {
  std::string database;
  bool watch = false;
};

constexpr std::chrono::seconds between_looks{2};

void print_totals(const CountersView& counters) {
  TextTable table({{"DATABASE"},
                   {"PACKETS ALLOWED", true},
                   {"BYTES", true},
                   {"PACKETS DROPPED", true},
                   {"BYTES", true},
                   {"NOTE"}});
  for (const auto& total : counters.totals) {
    table.add({{total.database},
               {format_number(total.allowed.packets)},
               {format_bytes(total.allowed.bytes)},
               {format_number(total.dropped.packets)},
               {format_bytes(total.dropped.bytes)},
               {total.mode == Mode::monitor ? "monitor mode: they pass" : "", Colour::doubtful}});
  }
  table.print();
}

void print_rules(const CountersView& counters) {
  TextTable table({{"RULE"},
                   {"CIDR OR RANGE ID"},
                   {"LABEL"},
                   {"PACKETS", true},
                   {"BYTES", true},
                   {"LAST HIT"},
                   {"DATABASE"}});
  for (const auto& rule : counters.rules) {
    table.add({{rule.id},
               {rule.source},
               {rule.label},
               {format_number(rule.hits.packets)},
               {format_bytes(rule.hits.bytes)},
               {ago(rule.last_hit)},
               {rule.database}});
  }
  if (table.empty()) return;
  print_line("");
  table.print();
}

void print_reasons(const CountersView& counters) {
  TextTable table({{"REASON"}, {"OF"}, {"PACKETS", true}, {"BYTES", true}, {"NOTE"}});
  for (const auto& reason : counters.reasons) {
    table.add({{reason.reason},
               {reason.owner},
               {format_number(reason.counts.packets)},
               {format_bytes(reason.counts.bytes)},
               {reason.monitored ? "passed: monitor mode" : "", Colour::doubtful}});
  }
  if (table.empty()) return;
  print_line("");
  table.print();
}

void print(const Cli& cli, const CountersOptions& options, const Document& answer,
           const CountersView& counters) {
  // A line a look, for a program that reads them as they come.
  if (cli.json) return options.watch ? print_json_line(*answer) : print_json(*answer);
  if (options.watch && isatty(STDOUT_FILENO) != 0)
    print_line("\033[H\033[J" + format_time_ms(std::chrono::system_clock::now()) + "\n");
  if (counters.totals.empty()) tell("nothing counted yet");
  print_totals(counters);
  print_rules(counters);
  print_reasons(counters);
}

Exit show_counters(const Cli& cli, const CountersOptions& options) {
  const Client client(cli);
  Outage outage;
  for (;; std::this_thread::sleep_for(between_looks)) {
    const auto answer = client.get("/v1/counters", {{"database", options.database}});
    const auto counters = as<CountersView>(answer);
    if (!counters) {
      if (options.watch && outage.covers(counters.error())) continue;
      return fail(cli, counters.error());
    }
    outage.end();
    print(cli, options, *answer, *counters);
    std::fflush(stdout);
    if (!options.watch) return Exit::done;
  }
}

}  // namespace

Action command::counters(Options& options) {
  const auto values = std::make_shared<CountersOptions>();
  options = {{"--database", "ID", &values->database, "Of this database alone"},
             {"--watch", "", &values->watch, "Again every 2 seconds, until interrupted"}};
  return make_action(values, show_counters);
}

}  // namespace moat
