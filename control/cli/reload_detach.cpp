// SPDX-License-Identifier: BSD-2-Clause
// moat reload, clock reset, detach
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <iostream>
#include <optional>

#include "control/cli/change.h"
#include "control/cli/output.h"

namespace moat {
namespace {

struct YesOptions {
  bool yes = false;
};

Exit reload(const Cli& cli, const ChangeOptions& options) {
  const Client client(cli);
  return report_change(cli, client, client.post("/v1/reload"), options, PrintRuleId::no,
                       TellGaps::yes);
}

// Whether somebody at the terminal really means it.
bool ask(std::string_view question) {
  tell(fmt::format("{} Type yes to go on:", question), Colour::bad);
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "yes";
}

// Whether nobody can be asked; `meaning`: "detach ends the guard".
std::optional<Failure> unasked(std::string_view meaning) {
  if (isatty(STDIN_FILENO) != 0) return std::nullopt;
  return Failure{Exit::usage,
                 {Refusal::Kind::invalid,
                  fmt::format("{}, and nobody is here to ask", meaning),
                  "give --yes if that is meant",
                  {}}};
}

Exit reset_clock(const Cli& cli, const YesOptions& options) {
  const Client client(cli);
  if (!options.yes) {
    if (const auto failure = unasked("clock reset says that the host's clock is right")) {
      return fail(cli, *failure);
    }
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    if (!ask(fmt::format("This host's clock says {}. If that is right, rules expire by it, and "
                         "those that expire later let in again.",
                         format_time(now)))) {
      tell("nothing changed");
      return Exit::refused;
    }
  }
  return report_change(cli, client, client.post("/v1/clock/reset"), {});
}

Exit detach(const Cli& cli, const YesOptions& options) {
  const Client client(cli);
  if (!options.yes) {
    if (const auto failure = unasked("detach ends the guard")) return fail(cli, *failure);
    const auto status = as<StatusView>(client.get("/v1/status"));
    if (!status) return fail(cli, status.error());
    const auto what = plural(status->databases, "database");
    if (!ask(fmt::format("This ends the guard of {}: everybody will reach them.", what))) {
      tell("nothing changed");
      return Exit::refused;
    }
  }
  const auto answer = client.post("/v1/detach");
  const auto change = as<ChangeView>(answer);
  if (!change) return fail(cli, change.error());
  if (cli.json) print_json(*answer);
  if (!change->enforced) {
    tell(fmt::format("NOT detached: {}", change->why_not), Colour::bad);
    return Exit::not_enforced;
  }
  tell("detached: nothing is guarded any more, and moatd has ended", Colour::doubtful);
  return Exit::done;
}

}  // namespace

void add_daemon_commands(CLI::App& app, Cli& cli) {
  auto* reload_command = app.add_subcommand("reload", "Have moatd read all files now");
  add_no_wait(*reload_command, on_command(*reload_command, cli, reload));
  reload_command->footer(
      "moatd notices changes by itself; this is for when you will not wait, or\n"
      "want to know that it has.\n\n"
      "Exit: 0 enforced, 1 a file is held back, Moat's program is not on an interface, or the\n"
      "backstop is off; 3 moatd not reachable, 4 not enforced within the bound.");

  auto* clock = app.add_subcommand("clock", "The host's clock, by which rules expire");
  clock->require_subcommand(1);
  auto* reset = clock->add_subcommand("reset", "Say that the host's clock is right now");
  auto& reset_options = on_command(*reset, cli, reset_clock);
  reset->add_flag("--yes", reset_options.yes, "Do not ask");
  reset->footer(
      "After the clock was set back, rules that had expired stay expired, and so do\n"
      "new ones that expire before the time it had been at. This is for when the\n"
      "clock had been wrong and is right now.");

  auto* detach_command =
      app.add_subcommand("detach", "End the guard: take everything off, and end moatd");
  auto& options = on_command(*detach_command, cli, detach);
  detach_command->add_flag("--yes", options.yes, "Do not ask");
  detach_command->footer(
      "Afterwards everybody reaches every database that was guarded. To restart\n"
      "or upgrade moatd, do not detach: rules stay enforced without it.");
}

}  // namespace moat
