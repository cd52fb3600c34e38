// SPDX-License-Identifier: BSD-2-Clause
// moat reload, detach
#include <fmt/format.h>
#include <unistd.h>

#include <iostream>

#include "control/cli_change.h"
#include "control/cli_output.h"

namespace moat {
namespace {

struct DetachOptions {
  bool yes = false;
};

Exit reload(const Cli& cli, const ChangeOptions& options) {
  const Client client(cli);
  return report_change(cli, client, client.post("/v1/reload"), options);
}

// Whether somebody at the terminal really means it.
bool ask(std::string_view question) {
  tell(fmt::format("{} Type yes to go on:", question), Colour::bad);
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "yes";
}

Exit detach(const Cli& cli, const DetachOptions& options) {
  const Client client(cli);
  if (!options.yes) {
    if (isatty(STDIN_FILENO) == 0) {
      return fail(cli, {Exit::usage,
                        {Refusal::Kind::invalid,
                         "detach ends the guard, and nobody is here to ask",
                         "give --yes if that is meant",
                         {}}});
    }
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
      "want to know that it has.");

  auto* detach_command =
      app.add_subcommand("detach", "End the guard: take everything off, and end moatd");
  auto& options = on_command(*detach_command, cli, detach);
  detach_command->add_flag("--yes", options.yes, "Do not ask");
  detach_command->footer(
      "Afterwards everybody reaches every database that was guarded. To restart\n"
      "or upgrade moatd, do not detach: rules stay enforced without it.");
}

}  // namespace moat
