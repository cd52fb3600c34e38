// SPDX-License-Identifier: BSD-2-Clause
// The fast path's process: see moat-dpdk(8). It reads moat.yaml by itself, as moatd does, since it
// has to have its NIC before there is a moatd, and when there is none.
#include <fcntl.h>

#include <cstdio>

#include "control/files/settings.h"
#include "control/os/atomic_file.h"
#include "control/os/file_io.h"
#include "control/os/paths.h"
#include "control/text/command_line.h"
#include "control/text/input_limits.h"
#include "dataplane/dpdk/worker.h"
#include "dataplane/fd.h"

namespace moat {
namespace {

int fail(const Error& error) {
  std::fprintf(stderr, "moat-dpdk: %s\n", format_error(error).c_str());
  return 1;
}

// What moat.yaml said when moat-dpdk last started: one that has errors by now is not to keep it
// from coming back.
std::string last_settings(const DpdkSettings& settings) { return settings.folder + "/moat.yaml"; }

std::string read_last(const DpdkSettings& settings) {
  const Fd file(::open(last_settings(settings).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  return file ? read_to_end(file.get(), limits::file_bytes).value_or("") : "";
}

Result<Settings> read_settings(const std::string& path, const DpdkSettings& dpdk) {
  Settings settings(path);
  settings.read();
  for (const auto& fault : settings.faults())
    std::fprintf(stderr, "moat-dpdk: %s\n", format_fault(fault).c_str());
  if (!settings.is_known()) settings.fall_back(read_last(dpdk));
  if (!settings.is_known())
    return std::unexpected(
        Error{settings.path() + " cannot be used", "mend it; `moat check` tells the same"});
  if (settings.has_fallen_back())
    std::fprintf(stderr, "moat-dpdk: %s cannot be used: what it said at the last start holds\n",
                 settings.path().c_str());
  return settings;
}

Result<> serve(const std::string& config, DpdkSettings dpdk) {
  const auto settings = read_settings(config, dpdk);
  if (!settings) return std::unexpected(settings.error());
  if (!settings->config().fast_path)
    return std::unexpected(Error{settings->path() + " has no `fast-path`",
                                 "write `fast-path: {nic: \"0000:3b:00.0\"}`, see moat.yaml(5)"});
  dpdk.fast_path = *settings->config().fast_path;
  const auto worker = Worker::start(dpdk);
  if (!worker) return std::unexpected(worker.error());
  constexpr mode_t for_root = 0600;
  if (const auto kept = write_file(last_settings(dpdk), settings->bytes_in_force(), for_root);
      !kept)
    std::fprintf(stderr, "moat-dpdk: %s\n", format_error(kept.error()).c_str());
  return (*worker)->run();
}

}  // namespace
}  // namespace moat

int main(int count, char** arguments) {
  moat::DpdkSettings settings{.folder = std::string(moat::paths::fast_path)};
  std::string config{moat::paths::config};
  moat::CommandLine app{
      "Judges what comes in by a NIC in user space, by moatd's rules, and hands the rest to the\n"
      "kernel by an interface of its own. Which NIC, and on which CPUs, moat.yaml's fast-path "
      "says."};
  app.set_version("moat-dpdk " MOAT_VERSION);
  app.add("--config", config, "The configuration");
  app.add("--folder", settings.folder, "of the socket for moatd, the counters, the settings");
  app.add("--netns", settings.netns, "network namespace that the NIC is put into");
  app.add("--idle", settings.idle_us,
          "microseconds to sleep when nothing comes; 0: never, for the least latency");
  app.add_flag("--force", settings.is_forced, "also take the NIC that the default route leads by");
  app.add("--eal", settings.eal, "a further argument to DPDK; may be given again");
  if (const auto done = app.parse(count, arguments)) return *done;

  const auto ended = moat::serve(config, std::move(settings));
  return ended ? 0 : moat::fail(ended.error());
}
