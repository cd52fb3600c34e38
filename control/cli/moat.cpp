// SPDX-License-Identifier: BSD-2-Clause
// The command: reads the command line by the table of commands.cpp, and does what it says.
#include <curl/curl.h>
#include <langinfo.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <clocale>
#include <csignal>

#include "control/cli/commands.h"

namespace moat {
namespace {

void add_option(CLI::App& command, const Option& option) {
  const std::string name(option.name);
  const std::string help(option.help);
  if (auto* const* flag = std::get_if<bool*>(&option.value)) {
    command.add_flag(name, **flag, help);
    return;
  }
  auto& value = *std::get<std::string*>(option.value);
  auto* added = command.add_option(name, value, help);
  if (!option.type.empty()) added->type_name(std::string(option.type));
  if (!value.empty()) added->capture_default_str();
  if (!name.starts_with('-') && value.empty()) added->required();
}

void add_options(CLI::App& command, const Options& options) {
  CLI::App* choice = nullptr;
  for (const auto& option : options) {
    if (option.choice.empty()) {
      add_option(command, option);
      continue;
    }
    if (choice == nullptr || choice->get_group() != option.choice) {
      choice = command.add_option_group(std::string(option.choice), "Exactly one of these");
      choice->require_option(1);
    }
    add_option(*choice, option);
  }
}

// What the one that the person names does comes to be in `chosen`.
void add_command(CLI::App& app, const Command& row, Action& chosen) {
  auto& parent = row.group.empty() ? app : *app.get_subcommand(std::string(row.group));
  auto* command = parent.add_subcommand(std::string(row.name), std::string(row.help));
  command->footer(std::string(row.more) + (row.more.empty() ? "" : "\n\n") +
                  "All commands also take --json and --socket PATH: see moat --help.");
  if (row.declare == nullptr) {
    command->require_subcommand(1);
    return;
  }
  Options options;
  auto action = row.declare(options);
  add_options(*command, options);
  command->callback([&chosen, action = std::move(action)] { chosen = action; });
}

void add_global_options(CLI::App& app, Cli& cli) {
  add_options(app, {{"--socket", "PATH", &cli.socket, "Where moatd listens"},
                    {"--json", "", &cli.json, "Print JSON, for programs"}});
  app.set_version_flag("--version", "moat " MOAT_VERSION);
  app.footer(
      "Exit: 0 done, 1 refused, different, or something is wrong (status), 2 wrong use, 3 moatd\n"
      "not reachable, 4 accepted but not enforced within the bound, or moatd does not answer.\n\n"
      "moat COMMAND --help tells more of each. Rule files: moat.yaml(5).");
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
  Action chosen;
  app.require_subcommand(1);
  app.fallthrough();  // --json and --socket may stand anywhere
  for (const auto& row : commands()) add_command(app, row, chosen);
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
  return chosen(cli);
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
