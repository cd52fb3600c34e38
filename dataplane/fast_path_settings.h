// SPDX-License-Identifier: BSD-2-Clause
// What moat.yaml says of the fast path: moat-dpdk runs by it, and moatd knows by it that there is
// to be one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace moat {

enum class Hugepages : std::uint8_t { automatic, on, off };

struct FastPathSettings {
  static constexpr unsigned max_lcores = 64;

  std::string nic;                     // "0000:3b:00.0" or "net_af_packet0,iface=eth1"
  std::string kernel_port = "moat0";   // name of the interface that it makes
  std::vector<unsigned> lcores = {0};  // CPUs that do nothing else
  Hugepages hugepages = Hugepages::automatic;
};

// The kernel's interface that a NIC names: "eth1" of "net_af_packet0,iface=eth1"; empty without
// one.
[[nodiscard]] std::string interface_of(const std::string& nic);
[[nodiscard]] bool is_pci(const std::string& nic);

}  // namespace moat
