// SPDX-License-Identifier: BSD-2-Clause
// The fast path's process: see moat-dpdk(8).
#include <CLI/CLI.hpp>
#include <cstdio>

#include "dataplane/dpdk/worker.h"

namespace {

int fail(const moat::Error& error) {
  std::fprintf(stderr, "moat-dpdk: %s\n", moat::format_error(error).c_str());
  return 1;
}

}  // namespace

int main(int count, char** arguments) {
  moat::DpdkSettings settings;
  CLI::App app{
      "Judges what comes in by a NIC in user space, by moatd's rules, and hands the rest to the\n"
      "kernel by an interface of its own."};
  app.set_version_flag("--version", MOAT_VERSION);
  app.add_option("--nic", settings.nic,
                 "PCI address (0000:3b:00.0), or a DPDK device (net_af_packet0,iface=eth1)")
      ->required();
  app.add_option("--kernel-port", settings.kernel_port, "name of the interface that it makes")
      ->capture_default_str();
  app.add_option("--lcores", settings.lcores, "CPUs that do nothing else, one queue each")
      ->delimiter(',')
      ->capture_default_str();
  const std::map<std::string, moat::Hugepages> hugepages = {{"auto", moat::Hugepages::automatic},
                                                            {"on", moat::Hugepages::on},
                                                            {"off", moat::Hugepages::off}};
  app.add_option("--hugepages", settings.hugepages, "auto: where enough are free")
      ->transform(CLI::CheckedTransformer(hugepages))
      ->default_str("auto");
  app.add_option("--folder", settings.folder, "of the socket for moatd, the counters, the settings")
      ->capture_default_str();
  app.add_option("--netns", settings.netns, "network namespace that the NIC is put into")
      ->capture_default_str();
  app.add_option("--idle", settings.idle_us,
                 "microseconds to sleep when nothing comes; 0: never, for the least latency")
      ->capture_default_str();
  app.add_flag("--force", settings.is_forced, "also take the NIC that the default route leads by");
  app.add_option("--eal", settings.eal, "a further argument to DPDK; may be given again");
  CLI11_PARSE(app, count, arguments);

  const auto worker = moat::Worker::start(settings);
  if (!worker) return fail(worker.error());
  if (const auto ended = (*worker)->run(); !ended) return fail(ended.error());
  return 0;
}
