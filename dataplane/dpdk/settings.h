// SPDX-License-Identifier: BSD-2-Clause
// What moat-dpdk runs by: moat.yaml's fast-path, and its command line.
#pragma once

#include <string>
#include <vector>

#include "dataplane/fast_path_settings.h"

namespace moat {

struct DpdkSettings {
  FastPathSettings fast_path;
  std::string folder;  // of the socket, the counters and the port's settings
  std::string netns = "moat-nic";
  unsigned idle_us = 0;  // to sleep when nothing comes; 0: poll all the time
  bool is_forced = false;
  std::vector<std::string> eal;  // further arguments to DPDK

  [[nodiscard]] std::string socket() const { return folder + "/socket"; }
  [[nodiscard]] std::string port_file() const { return folder + "/port"; }
};

}  // namespace moat
