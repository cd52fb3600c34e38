// SPDX-License-Identifier: BSD-2-Clause
// moat reload, clock reset, detach
#include <fmt/format.h>

#include <chrono>

#include "control/cli/ask.h"
#include "control/cli/change.h"
#include "control/cli/output.h"
#include "control/os/paths.h"
#include "dataplane/host/pinned_guard.h"

namespace moat {
namespace {

Exit reload_files(const Cli& cli, const ChangeOptions& options) {
  Client client(cli);
  return report_change(cli, client, client.post("/v1/reload"), options, PrintRuleId::no,
                       TellGaps::yes);
}

Exit confirm_clock(const Cli& cli, const YesOptions& options) {
  Client client(cli);
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
  const auto reply = client.post("/v1/clock/reset");
  if (reply) tell("the clock is taken as right: rules expire by it", Colour::good);
  return report_change(cli, client, reply, {});
}

// Its pins are the guard, without moatd.
CommandError with_way_to_end(const Cli& cli, CommandError failure) {
  const bool is_usual = cli.socket == paths::socket;
  const auto how = is_usual
                       ? fmt::format("rm -r {}", paths::bpffs)
                       : std::string("rm -r FOLDER, the one that it has for its pins (--bpffs)");
  if (failure.is_silent) {
    // While it lives it holds what is pinned, and pins it anew.
    failure.refusal.remedy +=
        fmt::format("; to end the guard without its answer, end it and remove the pins: {}; {}; {}",
                    "systemctl kill --signal KILL moatd", "systemctl stop moatd", how);
  } else if (failure.is_stopped) {
    const auto guard = look_at_pins(std::string(paths::bpffs));
    const bool has_ended = is_usual && guard && !guard->has_pins;
    if (!has_ended)
      failure.refusal.remedy += "; to end the guard without it, remove the pins: " + how;
  }
  return failure;
}

Exit end_guard(const Cli& cli, const YesOptions& options) {
  Client client(cli);
  if (!options.yes) {
    if (const auto failure = unasked("detach opens all ports")) return fail(cli, *failure);
    const auto status = client.status();
    if (!status) return fail(cli, with_way_to_end(cli, status.error()));
    const auto what = plural(status->databases, "database");
    if (!ask(fmt::format("This opens {} to everyone and stops moatd, until its next start or boot.",
                         what))) {
      tell("nothing changed");
      return Exit::refused;
    }
  }
  const auto answer = client.post("/v1/detach");
  const auto change = as<ChangeView>(answer);
  if (!change) return fail(cli, with_way_to_end(cli, change.error()));
  if (cli.json) print_json(**answer);
  if (!change->is_detached) {
    tell(fmt::format("NOT detached: {}", change->why_not), Colour::bad);
    return Exit::not_enforced;
  }
  tell("detached: all ports are open to everyone, and moatd has stopped", Colour::doubtful);
  return Exit::done;
}

}  // namespace

Action command::reload(Options& options) {
  const auto values = std::make_shared<ChangeOptions>();
  options = {no_wait(*values)};
  return make_action(values, reload_files);
}

Action command::reset_clock(Options& options) {
  const auto values = std::make_shared<YesOptions>();
  options = {yes(*values)};
  return make_action(values, confirm_clock);
}

Action command::detach(Options& options) {
  const auto values = std::make_shared<YesOptions>();
  options = {yes(*values)};
  return make_action(values, end_guard);
}

}  // namespace moat
