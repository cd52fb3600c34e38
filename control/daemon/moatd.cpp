// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "control/cli/rule_load.h"
#include "control/daemon/daemon.h"
#include "control/os/log.h"
#include "control/os/paths.h"
#include "control/text/command_line.h"
#include "dataplane/dpdk/joined_path.h"
#include "dataplane/xdp/xdp_backend.h"

namespace {

// Reads all files as a start would, and changes nothing.
int check(const std::string& config) {
  const auto host = moat::read_host_facts();
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  const auto rules = moat::load_rules(config, {now, &host, false});
  for (const auto& file : rules.files) {
    for (const auto& fault : file.faults)
      std::fprintf(stderr, "%s\n", moat::format_fault(fault).c_str());
  }
  if (rules.has_error()) return EXIT_FAILURE;
  std::fprintf(stderr, "moatd: %s and the rule files can be used\n", config.c_str());
  return EXIT_SUCCESS;
}

int serve(const moat::DaemonPaths& paths, const std::string& fast_path, bool is_verbose) {
  const auto log = moat::make_log("moatd");
  if (is_verbose) log->set_level(spdlog::level::debug);
  const auto fail = [&log](const moat::Error& error) {
    log->error("{}", moat::format_error(error));
    return EXIT_FAILURE;
  };
  const auto open_path =
      [&](const std::string& pins,
          moat::PinIds earlier) -> moat::Result<std::unique_ptr<moat::PacketPath>> {
    auto kernel = moat::XdpBackend::open(pins, std::move(earlier));
    if (!kernel) return std::unexpected(kernel.error());
    return moat::join_fast_path(std::move(*kernel), fast_path);
  };
  auto daemon = moat::Daemon::start(paths, open_path, *log);
  if (!daemon) return fail(daemon.error());
  if (auto ended = (*daemon)->run(); !ended) return fail(ended.error());
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  moat::CommandLine app("Guards the databases of this host: enforces what the rule files say.",
                        "moatd");
  moat::DaemonPaths paths;
  std::string fast_path{moat::paths::fast_path};
  bool in_foreground = true;
  bool only_checks = false;
  bool is_verbose = false;
  app.add("--config", paths.config, "The configuration");
  app.add("--bpffs", paths.bpffs, "Folder for the pins, on a bpf file system");
  app.add("--state", paths.state, "Folder for the state");
  app.add("--socket", paths.socket, "The control socket");
  app.add("--fast-path", fast_path, "moat-dpdk's folder");
  app.add_flag("--foreground", in_foreground, "Stay in the foreground; it always does");
  app.add_flag("--check", only_checks,
               "Say what is wrong with the files, and end: 0 where they can be used, else 1");
  app.add_flag("--verbose", is_verbose, "Log each event, and what it leads to");
  app.set_version("moatd " MOAT_VERSION);
  if (const auto done = app.parse(argc, argv)) return *done;
  return only_checks ? check(paths.config) : serve(paths, fast_path, is_verbose);
}
