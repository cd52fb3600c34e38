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

constexpr auto agent_name = "moat-agent";

// Beside this program, or where the system's administrator has such programs.
std::string find_agent() {
  std::error_code error;
  const auto folder = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  for (const auto& path :
       {folder / agent_name, folder / "../sbin" / agent_name, folder / "../agent" / agent_name}) {
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return agent_name;
}

}  // namespace

Exit hand_over_to_agent(std::vector<std::string> arguments) {
  auto path = find_agent();
  std::vector<char*> words = {path.data()};
  for (auto& argument : arguments) words.push_back(argument.data());
  words.push_back(nullptr);
  ::execvp(path.c_str(), words.data());
  tell(errno == ENOENT
           ? "moat fleet needs moat-agent, which is not installed: install the package moat-agent"
           : fmt::format("moat-agent cannot be run: {}", std::strerror(errno)));
  return Exit::refused;
}

// `moat fleet` itself never comes here; its help does.
Action command::fleet(Options&) {
  return [](const Cli&) { return hand_over_to_agent({"fleet"}); };
}

}  // namespace moat
