// SPDX-License-Identifier: BSD-2-Clause
// moat version: of the command, and of the daemon that runs.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "control/cli/output.h"

namespace moat {
namespace {

Exit show_version(const Cli& cli) {
  const auto status = Client(cli).status();
  const std::string daemon = status ? status->version : "";
  if (cli.json) {
    print_json(document({{"version", MOAT_VERSION},
                         {"daemon_version", daemon.empty() ? Json(nullptr) : Json(daemon)}}));
    return Exit::done;
  }
  print_line(fmt::format("moat {}", MOAT_VERSION));
  print_line(daemon.empty() ? "moatd is not reachable" : printable("moatd " + daemon));
  return Exit::done;
}

}  // namespace

Action command::version(Options&) { return show_version; }

}  // namespace moat
