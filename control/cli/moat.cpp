// SPDX-License-Identifier: BSD-2-Clause
// The command. What each part does is in the cli_*.cpp of its name.
#include <curl/curl.h>
#include <fmt/format.h>
#include <langinfo.h>

#include <clocale>
#include <csignal>

#include "control/cli/output.h"

namespace moat {
namespace {

struct VersionOptions {};

Exit show_version(const Cli& cli, const VersionOptions&) {
  const auto status = as<StatusView>(Client(cli).get("/v1/status"));
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

void add_global_options(CLI::App& app, Cli& cli) {
  app.add_option("--socket", cli.socket, "Where moatd listens")
      ->type_name("PATH")
      ->capture_default_str();
  app.add_flag("--json", cli.json, "Print JSON, for programs");
  app.set_version_flag("--version", "moat " MOAT_VERSION);
  app.footer(
      "Exit: 0 done, 1 refused, different, or something is wrong (status), 2 wrong use, 3 moatd\n"
      "not reachable, 4 accepted but not enforced within the bound, or moatd does not answer.\n\n"
      "moat COMMAND --help tells more of each. Rule files: moat.yaml(5).");
}

void add_commands(CLI::App& app, Cli& cli) {
  app.require_subcommand(1);
  app.fallthrough();  // --json and --socket may stand anywhere
  add_check(app, cli);
  add_status(app, cli);
  add_databases(app, cli);
  add_rules(app, cli);
  add_managed_ranges(app, cli);
  add_why(app, cli);
  add_counters(app, cli);
  add_drops(app, cli);
  add_diff(app, cli);
  add_daemon_commands(app, cli);
  auto* version = app.add_subcommand("version", "Say the versions of moat and of moatd");
  on_command(*version, cli, show_version);
}

// Help of one command does not show the options of all.
void add_hint(CLI::App& command) {
  for (auto* each : command.get_subcommands([](const CLI::App*) { return true; })) add_hint(*each);
  const auto own = command.get_footer();
  command.footer(own + (own.empty() ? "" : "\n\n") +
                 "All commands also take --json and --socket PATH: see moat --help.");
}

// Labels may have any letters, also where the locale is C.
void use_utf8() {
  std::setlocale(LC_ALL, "");
  if (std::string_view(nl_langinfo(CODESET)) != "UTF-8") std::setlocale(LC_CTYPE, "C.UTF-8");
}

Exit run(int argc, char** argv) {
  CLI::App app("Guards the databases on this host: nobody reaches one unless a rule names them.",
               "moat");
  Cli cli;
  add_commands(app, cli);
  add_hint(app);
  add_global_options(app, cli);
  if (argc == 1) {
    std::fputs(app.help().c_str(), stderr);
    return Exit::usage;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool is_help = app.exit(error) == 0;  // --help and --version come this way too
    return is_help ? Exit::done : Exit::usage;
  }
  return cli.chosen();
}

}  // namespace
}  // namespace moat

int main(int argc, char** argv) {
  moat::use_utf8();
  std::signal(SIGPIPE, SIG_DFL);  // `moat ... | head` ends quietly
  curl_global_init(CURL_GLOBAL_DEFAULT);
  const auto exit = moat::run(argc, argv);
  curl_global_cleanup();
  return static_cast<int>(exit);
}
