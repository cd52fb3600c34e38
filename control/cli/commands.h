// SPDX-License-Identifier: BSD-2-Clause
// What a command is. Each is a row of the table in commands.cpp, and a function in a file of its
// own that declares the options and gives back what the command does. moat.cpp reads a command
// line by the table; it alone knows CLI11.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "control/os/paths.h"

namespace moat {

enum class Exit : int {
  done = 0,
  refused = 1,  // or different, or faults found
  usage = 2,
  unreachable = 3,   // the daemon
  not_enforced = 4,  // accepted, but not enforced within the bound; or no answer in time
};

// What every command takes.
struct Cli {
  std::string socket{paths::socket};
  bool json = false;
  bool no_pager = false;
};

// Something that a command line may give to a command, and where it goes.
struct Option {
  std::string_view name;  // "--database"; without dashes: an argument, told by its position
  std::string_view type;  // what people write for it: "ID"; of a flag and an argument: empty
  std::variant<bool*, std::string*> value;  // bool: a flag. An argument with a value is optional
  std::string_view help;
  std::string_view choice = {};  // of those that name the same one, exactly one is to be given
};
using Options = std::vector<Option>;

// What the options of these names can be written as, too: -j.
struct ShortForm {
  char letter;
  std::string_view name;
};
inline constexpr ShortForm short_forms[] = {
    {'d', "--database"}, {'f', "--follow"}, {'j', "--json"}};

// Those that every command takes.
[[nodiscard]] Options global_options(Cli& cli);

// Where --database is left out.
inline constexpr std::string_view database_variable = "MOAT_DATABASE";
using Action = std::function<Exit(const Cli&)>;

struct Command {
  std::string_view group;       // "rules" of `moat rules add`; empty: none
  std::string_view name;        // "add"
  std::string_view help;        // a line
  Action (*declare)(Options&);  // the options belong to the action; null: this is a group
  std::string_view more = {};   // what stands below the options
};

// In the order of the help; a group before its commands.
[[nodiscard]] std::span<const Command> commands();

// The name that a word stands for: "list" for "ls", "remove" for "rm"; of others the word itself.
[[nodiscard]] std::string_view without_alias(std::string_view word);

// The action `run(cli, values)`.
template <typename Values>
Action make_action(std::shared_ptr<Values> values, Exit (*run)(const Cli&, const Values&)) {
  return [values = std::move(values), run](const Cli& cli) { return run(cli, *values); };
}

namespace command {

Action check(Options& options);
Action status(Options& options);
Action list_databases(Options& options);
Action monitor_database(Options& options);
Action enforce_database(Options& options);
Action forget_database(Options& options);
Action list_rules(Options& options);
Action add_rule(Options& options);
Action set_rule(Options& options);
Action remove_rule(Options& options);
Action suggest_rules(Options& options);
Action sessions(Options& options);
Action preflight(Options& options);
Action list_ranges(Options& options);
Action show_range(Options& options);
Action accept_range(Options& options);
Action list_net_peerings(Options& options);
Action add_net_peering(Options& options);
Action remove_net_peering(Options& options);
Action network_configuration(Options& options);
Action endpoints(Options& options);
Action refresh_range(Options& options);
Action fleet(Options& options);
Action why(Options& options);
Action counters(Options& options);
Action drops(Options& options);
Action events(Options& options);
Action diff(Options& options);
Action import_rules(Options& options);
Action apply(Options& options);
Action history(Options& options);
Action roll_back(Options& options);
Action confirm(Options& options);
Action undo(Options& options);
Action trial(Options& options);
Action reload(Options& options);
Action reset_clock(Options& options);
Action detach(Options& options);
Action bug_report(Options& options);
Action console(Options& options);
Action version(Options& options);
Action help(Options& options);

}  // namespace command

}  // namespace moat
