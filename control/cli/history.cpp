// SPDX-License-Identifier: BSD-2-Clause
// moat history, rollback, confirm, undo, trial
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "control/cli/change.h"
#include "control/cli/output.h"
#include "control/cli/pager.h"

namespace moat {
namespace {

constexpr std::string_view no_generation = "all";  // `moat history` without a generation

struct HistoryOptions {
  std::string generation{no_generation};
};

struct RollbackOptions {
  std::string generation;
  ChangeOptions change;
};

struct TrialOptions {
  std::string within;
};

Exit list_history(const Cli& cli) {
  const auto answer = Client(cli).get("/v1/history");
  const auto entries = as_list<HistoryView>(answer, "generations");
  if (!entries) return fail(cli, entries.error());
  if (cli.json) {
    print_json(**answer);
    return Exit::done;
  }
  const Pager pager(cli);
  TextTable table({{"GENERATION", true}, {"TIME"}, {"CAUSE"}, {"BY"}, {"CHANGE"}});
  for (const auto& entry : *entries) {
    table.add({{fmt::format("{}", entry.generation)},
               {format_time(std::chrono::floor<std::chrono::seconds>(entry.time))},
               {entry.cause},
               {entry.author.empty() ? "moatd" : entry.author},
               {or_dash(entry.change)}});
  }
  if (table.empty()) tell("no history: nothing was enforced since it is kept");
  table.print();
  return Exit::done;
}

Exit show_generation(const Cli& cli, const std::string& generation) {
  const auto answer = Client(cli).get("/v1/history/" + escape(generation));
  const auto entry = as<HistoryView>(answer);
  if (!entry) return fail(cli, entry.error());
  if (cli.json) {
    print_json(**answer);
    return Exit::done;
  }
  const Pager pager(cli);
  const auto fact = [](std::string_view name, const std::string& value) {
    if (!value.empty()) print_line(fmt::format("{:<11} {}", name, printable(value)));
  };
  fact("Generation", fmt::format("{}", entry->generation));
  fact("Time", format_time_ms(entry->time));
  fact("Cause", entry->cause);
  fact("By", entry->author);
  fact("Command", entry->command);
  fact("Change", entry->change);
  for (const auto& file : entry->files) {
    print_line("");
    print_line(paint(printable(file.path), Colour::strong));
    std::istringstream lines(file.text);
    for (std::string line; std::getline(lines, line);) print_line(printable(line));
  }
  return Exit::done;
}

Exit show_history(const Cli& cli, const HistoryOptions& options) {
  return options.generation == no_generation ? list_history(cli)
                                             : show_generation(cli, options.generation);
}

Exit roll_back(const Cli& cli, const RollbackOptions& options) {
  Client client(cli);
  const auto reply = send_edit(client, options.change, [&] {
    return client.post("/v1/rollback/" + escape(options.generation));
  });
  return report_change(cli, client, reply, options.change);
}

// Tells what became of a trial.
Exit tell_trial(const Cli& cli, const ClientResult<Document>& reply, const std::string& what) {
  const auto trial = as<TrialView>(reply);
  if (!trial) return fail(cli, trial.error());
  if (cli.json) print_json(**reply);
  tell(what, Colour::good);
  return Exit::done;
}

Exit confirm_change(const Cli& cli) {
  return tell_trial(cli, Client(cli).post("/v1/confirm"), "confirmed: what was changed stays");
}

Exit undo_change(const Cli& cli) {
  Client client(cli);
  return report_change(cli, client, client.remove("/v1/trial"), {});
}

Exit begin_trial(const Cli& cli, const TrialOptions& options) {
  const auto reply = Client(cli).post("/v1/trial?edits=all&within=" + escape(options.within));
  return tell_trial(cli, reply,
                    fmt::format("what is changed from now on, by hand too, is undone in {} unless "
                                "you say: moat confirm",
                                printable(options.within)));
}

}  // namespace

Action command::history(Options& options) {
  const auto values = std::make_shared<HistoryOptions>();
  options = {{"GENERATION", "", &values->generation, "Show this one, with its files"}};
  return make_action(values, show_history);
}

Action command::roll_back(Options& options) {
  const auto values = std::make_shared<RollbackOptions>();
  options = {{"GENERATION", "", &values->generation, "As moat history numbers it"}};
  add_edit_options(values->change, options);
  return make_action(values, moat::roll_back);
}

Action command::confirm(Options&) { return confirm_change; }

Action command::undo(Options&) { return undo_change; }

Action command::trial(Options& options) {
  const auto values = std::make_shared<TrialOptions>();
  options = {{"TIME", "", &values->within, "After which it is undone: 60s, 5m"}};
  return make_action(values, begin_trial);
}

}  // namespace moat
