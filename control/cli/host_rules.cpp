// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/host_rules.h"

#include <fmt/format.h>

#include <fstream>

#include "control/os/run_program.h"

namespace moat {

Result<std::string> read_host_rules(const std::string& program,
                                    const std::vector<std::string>& arguments) {
  using namespace std::chrono_literals;
  return run_program(program, arguments, 10s);  // some hosts have tens of thousands of rules
}

bool has_legacy_table(std::string_view family, std::string_view table) {
  std::ifstream file(fmt::format("/proc/net/{}_tables_names", family));
  for (std::string name; std::getline(file, name);) {
    if (name == table) return true;
  }
  return false;
}

}  // namespace moat
