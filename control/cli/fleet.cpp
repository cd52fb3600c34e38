// SPDX-License-Identifier: BSD-2-Clause
// moat fleet: what moat-agent does, which is a program of its own.
#include "control/cli/fleet.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "control/cli/output.h"

namespace moat {
namespace {

constexpr auto name = "moat-agent";

// Beside this program, or where the system's administrator has such programs.
std::string find_agent() {
  std::error_code error;
  const auto folder = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  for (const auto& path : {folder / name, folder / "../sbin" / name, folder / "../agent" / name}) {
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return name;
}

}  // namespace

Exit hand_over_to_agent(std::vector<char*> arguments) {
  auto path = find_agent();
  arguments.insert(arguments.begin(), path.data());
  arguments.push_back(nullptr);
  ::execvp(path.c_str(), arguments.data());
  tell(fmt::format("moat-agent cannot be run: {}", std::strerror(errno)));
  return Exit::refused;
}

// `moat fleet` itself never comes here; its help does.
Action command::fleet(Options&) {
  return [](const Cli&) {
    static char word[] = "fleet";
    return hand_over_to_agent({word});
  };
}

}  // namespace moat
