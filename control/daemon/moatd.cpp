// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "control/cli/rule_load.h"
#include "control/daemon/daemon.h"
#include "control/os/log.h"
#include "control/os/paths.h"
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
  CLI::App app("Guards the databases of this host: enforces what the rule files say.", "moatd");
  moat::DaemonPaths paths;
  std::string fast_path{moat::paths::fast_path};
  bool in_foreground = true;
  bool only_checks = false;
  bool is_verbose = false;
  app.add_option("--config", paths.config, "The configuration")->capture_default_str();
  app.add_option("--bpffs", paths.bpffs, "Folder for the pins, on a bpf file system")
      ->capture_default_str();
  app.add_option("--state", paths.state, "Folder for the state")->capture_default_str();
  app.add_option("--socket", paths.socket, "The control socket")->capture_default_str();
  app.add_option("--fast-path", fast_path, "moat-dpdk's folder")->capture_default_str();
  app.add_flag("--foreground", in_foreground, "Stay in the foreground; it always does");
  app.add_flag("--check", only_checks,
               "Say what is wrong with the files, and end: 0 where they can be used, else 1");
  app.add_flag("--verbose", is_verbose, "Log each event, and what it leads to");
  app.set_version_flag("--version", "moatd " MOAT_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    constexpr int wrong_use = 2;
    return app.exit(error) == 0 ? EXIT_SUCCESS : wrong_use;
  }
  return only_checks ? check(paths.config) : serve(paths, fast_path, is_verbose);
}
