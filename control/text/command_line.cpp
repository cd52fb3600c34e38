// SPDX-License-Identifier: BSD-2-Clause
#include "control/text/command_line.h"

#include <CLI/CLI.hpp>
#include <cstdint>

namespace moat {

CommandLine::CommandLine(const std::string& what, const std::string& program)
    : app_(std::make_unique<CLI::App>(what, program)) {}

CommandLine::~CommandLine() = default;

template <typename T>
void CommandLine::add(const std::string& name, T& value, const std::string& help) {
  app_->add_option(name, value, help)->capture_default_str();
}

template <typename T>
void CommandLine::require(const std::string& name, T& value, const std::string& help) {
  app_->add_option(name, value, help)->required();
}

template <typename T>
void CommandLine::add_list(const std::string& name, std::vector<T>& values,
                           const std::string& help) {
  app_->add_option(name, values, help)->delimiter(',')->capture_default_str();
}

template <typename T>
void CommandLine::require_list(const std::string& name, std::vector<T>& values,
                               const std::string& help) {
  app_->add_option(name, values, help)->delimiter(',')->required();
}

void CommandLine::add_flag(const std::string& name, bool& value, const std::string& help) {
  app_->add_flag(name, value, help);
}

void CommandLine::set_version(const std::string& version) {
  app_->set_version_flag("--version", version);
}

std::optional<int> CommandLine::parse(int count, const char* const* arguments) {
  constexpr int wrong_use = 2;
  try {
    app_->parse(count, arguments);
  } catch (const CLI::ParseError& error) {
    return app_->exit(error) == 0 ? 0 : wrong_use;
  }
  return std::nullopt;
}

template void CommandLine::add(const std::string&, std::string&, const std::string&);
template void CommandLine::add(const std::string&, std::vector<std::string>&, const std::string&);
template void CommandLine::add(const std::string&, int&, const std::string&);
template void CommandLine::add(const std::string&, unsigned&, const std::string&);
template void CommandLine::add(const std::string&, std::uint16_t&, const std::string&);
template void CommandLine::add(const std::string&, std::uint64_t&, const std::string&);
template void CommandLine::add(const std::string&, double&, const std::string&);
template void CommandLine::require(const std::string&, std::string&, const std::string&);
template void CommandLine::require(const std::string&, std::uint16_t&, const std::string&);
template void CommandLine::require(const std::string&, std::uint64_t&, const std::string&);
template void CommandLine::require(const std::string&, std::vector<std::string>&,
                                   const std::string&);
template void CommandLine::add_list(const std::string&, std::vector<std::string>&,
                                    const std::string&);
template void CommandLine::add_list(const std::string&, std::vector<unsigned>&, const std::string&);
template void CommandLine::add_list(const std::string&, std::vector<std::uint64_t>&,
                                    const std::string&);
template void CommandLine::require_list(const std::string&, std::vector<std::string>&,
                                        const std::string&);

}  // namespace moat
