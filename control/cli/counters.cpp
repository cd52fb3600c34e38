// SPDX-License-Identifier: BSD-2-Clause
// moat counters
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <thread>

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
                   {"BYTES", true}});
  for (const auto& total : counters.totals) {
    table.add({{total.database},
               {format_number(total.allowed.packets)},
               {format_bytes(total.allowed.bytes)},
               {format_number(total.dropped.packets)},
               {format_bytes(total.dropped.bytes)}});
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

Exit show_once(const Cli& cli, const CountersOptions& options, bool clears) {
  const auto answer = Client(cli).get("/v1/counters", {{"database", options.database}});
  const auto counters = as<CountersView>(answer);
  if (!counters) return fail(cli, counters.error());
  if (cli.json) {
    // A line a look, for a program that reads them as they come.
    if (options.watch) {
      print_json_line(**answer);
    } else {
      print_json(**answer);
    }
    return Exit::done;
  }
  if (clears) print_line("\033[H\033[J" + format_time_ms(std::chrono::system_clock::now()) + "\n");
  if (counters->totals.empty()) tell("nothing counted yet");
  print_totals(*counters);
  print_rules(*counters);
  print_reasons(*counters);
  return Exit::done;
}

Exit show_counters(const Cli& cli, const CountersOptions& options) {
  const bool clears = options.watch && isatty(STDOUT_FILENO) != 0;
  for (;;) {
    const auto exit = show_once(cli, options, clears);
    std::fflush(stdout);
    if (exit != Exit::done || !options.watch) return exit;
    std::this_thread::sleep_for(between_looks);
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
