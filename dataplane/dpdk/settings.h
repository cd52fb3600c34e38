// SPDX-License-Identifier: BSD-2-Clause
// What moat-dpdk is told on its command line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/error.h"

namespace moat {

enum class Hugepages : std::uint8_t { automatic, on, off };

struct DpdkSettings {
  std::string nic;                     // "0000:3b:00.0" or "net_af_packet0,iface=eth1"
  std::string kernel_port = "moat0";   // name of the interface that it makes
  std::vector<unsigned> lcores = {0};  // CPUs that do nothing else
  Hugepages hugepages = Hugepages::automatic;
  std::string folder = "/run/moat-dpdk";  // of the socket, the counters and the port's settings
  std::string netns = "moat-nic";
  unsigned idle_us = 0;  // to sleep when nothing comes; 0: poll all the time
  bool is_forced = false;
  std::vector<std::string> eal;  // further arguments to DPDK

  [[nodiscard]] std::string socket() const { return folder + "/socket"; }
  [[nodiscard]] std::string port_file() const { return folder + "/port"; }
};

// The kernel's interface that a NIC names: "eth1" of "net_af_packet0,iface=eth1"; empty without
// one.
[[nodiscard]] std::string interface_of(const std::string& nic);
[[nodiscard]] bool is_pci(const std::string& nic);

}  // namespace moat
