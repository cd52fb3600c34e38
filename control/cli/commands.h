// SPDX-License-Identifier: BSD-2-Clause
// The command's parts share this: what was asked for globally, how a command ends, and how the
// commands come onto the command line. Each cli_*.cpp declares its commands in an add_ function;
// the one that the person names puts what it does into Cli::chosen.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <functional>
#include <memory>
#include <string>

#include "control/os/paths.h"

namespace moat {

enum class Exit : int {
  done = 0,
  refused = 1,  // or different, or faults found
  usage = 2,
  unreachable = 3,   // the daemon
  not_enforced = 4,  // accepted, but not enforced within the bound; or no answer in time
};

struct Cli {
  std::string socket{paths::socket};
  bool json = false;
  std::function<Exit()> chosen;
};

// Each outlives the parsing: `cli` and `app` must too.
void add_check(CLI::App& app, Cli& cli);
void add_status(CLI::App& app, Cli& cli);
void add_databases(CLI::App& app, Cli& cli);
void add_rules(CLI::App& app, Cli& cli);
void add_managed_ranges(CLI::App& app, Cli& cli);
void add_why(CLI::App& app, Cli& cli);
void add_counters(CLI::App& app, Cli& cli);
void add_drops(CLI::App& app, Cli& cli);
void add_diff(CLI::App& app, Cli& cli);
void add_daemon_commands(CLI::App& app, Cli& cli);  // reload, detach

// Makes `run(options)` what a command does, with options of its own that live as long as it.
template <typename Options>
Options& on_command(CLI::App& command, Cli& cli, Exit (*run)(const Cli&, const Options&)) {
  auto options = std::make_shared<Options>();
  command.callback(
      [&cli, options, run] { cli.chosen = [&cli, options, run] { return run(cli, *options); }; });
  return *options;
}

}  // namespace moat
