// SPDX-License-Identifier: BSD-2-Clause
// The agent's process: see moat-agent(8).
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>

#include "control/agent/agent.h"
#include "control/agent/fleet_command.h"
#include "control/os/log.h"
#include "control/text/utf8.h"

namespace moat {
namespace {

constexpr int refused = 1;
constexpr int wrong_use = 2;

struct Options {
  std::string agent_yaml = "/etc/moat/agent.yaml";
  std::vector<std::string> ids;
  bool is_dry = false;
};

int fail(const Error& error) {
  std::fprintf(stderr, "moat-agent: %s\n", printable(format_error(error)).c_str());
  return refused;
}

int serve(const Options& options) {
  const auto log = make_log("moat-agent");
  auto agent = Agent::start(options.agent_yaml, *log);
  if (!agent) {
    log->error("{}", format_error(agent.error()));
    return refused;
  }
  if (auto ended = (*agent)->run(); !ended) return fail(ended.error());
  return 0;
}

void print(const Agent::Try& one, bool is_dry) {
  if (!one.result) {
    std::printf("%s: %s\n", one.id.c_str(), printable(format_error(one.result.error())).c_str());
    return;
  }
  const auto& status = one.status;
  std::string line = one.id + ": ";
  if (!one.result->is_changed) {
    line += "unchanged";
  } else {
    line += fmt::format("{} prefixes {}added, {} removed", one.result->added,
                        is_dry ? "would be " : "", one.result->removed);
  }
  if (!status.version.empty()) line += ", version " + status.version;
  if (status.ipv6 > 0) line += fmt::format(", {} IPv6 entries passed over", status.ipv6);
  if (!status.note.empty()) line += ", " + status.note;
  std::printf("%s (%s)\n", printable(line).c_str(), printable(status.source).c_str());
}

int fetch(const Options& options) {
  const auto log = make_log("moat-agent");
  log->set_level(spdlog::level::off);  // what there is to tell is printed
  auto agent = Agent::start(options.agent_yaml, *log);
  if (!agent) return fail(agent.error());
  const auto tries =
      (*agent)->fetch(options.ids, options.is_dry ? WriteMode::try_out : WriteMode::write);
  if (!tries) return fail(tries.error());
  bool all_well = true;
  for (const auto& one : *tries) {
    print(one, options.is_dry);
    all_well &= one.result.has_value();
  }
  return all_well ? 0 : refused;
}

int check(const Options& options) {
  Faults warnings;
  const auto plan = read_agent_plan(options.agent_yaml, warnings);
  for (const auto& warning : warnings)
    std::printf("%s\n", printable(format_fault(warning)).c_str());
  if (!plan) return fail(plan.error());
  std::printf("%s: no errors; managed ranges: %zu\n", printable(options.agent_yaml).c_str(),
              plan->settings.ranges.size());
  return 0;
}

}  // namespace
}  // namespace moat

namespace {

// The commands of a fleet, which `moat fleet` hands over.
void add_fleet_commands(CLI::App& app, moat::FleetOptions& options, std::function<int()>& run) {
  auto* fleet = app.add_subcommand("fleet", "Rules for many hosts");
  fleet->require_subcommand(1);
  const auto add = [&](const char* name, const char* help,
                       int (*function)(const moat::FleetOptions&)) {
    auto* command = fleet->add_subcommand(name, help);
    command->callback(
        [&options, &run, function] { run = [&options, function] { return function(options); }; });
    return command;
  };
  auto* push = add("push", "Give the hosts what a folder says", moat::push_fleet);
  push->add_option("DIR", options.folder, "The fleet's folder")->required();
  push->add_flag("--new-store", options.is_new_store,
                 "Hosts follow this store, though it is not the one they know");
  auto* back = add("rollback", "Give the hosts what they had after a push", moat::roll_back_fleet);
  back->add_option("PUSH", options.to, "The push's number: see moat fleet history")->required();
  for (auto* command : {push, back}) {
    command->add_option(
        "--confirm", options.confirm,
        "The hosts undo it after this time, unless moat fleet confirm comes before");
    command->add_flag("--dry-run", options.is_dry, "Say what would change; change nothing");
    command->add_option("--message", options.message, "What it is for");
    command->add_option("--canary", options.canary,
                        "Parts of the hosts that go first: 1%,10%,100%. It stops by itself");
    command->add_option("--wait", options.wait, "How long to wait for the hosts of each part")
        ->capture_default_str();
    command->add_flag("!--no-wait", options.waits, "Do not wait for the hosts");
    command->add_option("--max-ended", options.max_ended,
                        "Sessions that a part of the hosts may end; 0: any number");
  }
  add("confirm", "The last push stays; see push --confirm", moat::confirm_fleet);
  add("status", "How many hosts enforce the last push, and who does not", moat::show_fleet_status);
  add("history", "What was pushed, the newest first", moat::show_fleet_history);
  auto* bundle =
      add("bundle", "Print a folder as one file, for a web server", moat::print_fleet_bundle);
  bundle->add_option("DIR", options.folder, "The fleet's folder")->required();
  bundle->add_option("--serial", options.serial, "Grows with each version")->required();
}

}  // namespace

int main(int count, char** arguments) {
  moat::Options options;
  moat::FleetOptions fleet_options;
  std::function<int()> run_fleet;
  CLI::App app("Keeps managed ranges as their providers publish them, and follows a fleet.",
               "moat-agent");
  app.fallthrough();  // --config may stand anywhere
  app.add_option("--config", options.agent_yaml, "What to keep, and from where")
      ->capture_default_str();
  app.set_version_flag("--version", "moat-agent " MOAT_VERSION);
  auto* fetch = app.add_subcommand("fetch", "Ask each source once, write the files, and end");
  fetch->add_option("ID", options.ids, "These managed ranges only");
  fetch->add_flag("--dry-run", options.is_dry, "Say what would change; write nothing");
  auto* check = app.add_subcommand("check", "Say what is wrong with agent.yaml");
  add_fleet_commands(app, fleet_options, run_fleet);
  try {
    app.parse(count, arguments);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : moat::wrong_use;
  }
  fleet_options.config = options.agent_yaml;
  if (run_fleet) return run_fleet();
  if (fetch->parsed()) return moat::fetch(options);
  if (check->parsed()) return moat::check(options);
  return moat::serve(options);
}
