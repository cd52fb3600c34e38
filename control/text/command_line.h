// SPDX-License-Identifier: BSD-2-Clause
// The command line of a program without commands, read by CLI11. That library is all in a header,
// which takes ten seconds to compile: here it is compiled once for all of them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace moat {

class CommandLine {
 public:
  // `what` the program does, for --help, and its name where that is not to be what it was called
  // by.
  explicit CommandLine(const std::string& what, const std::string& program = "");
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;
  ~CommandLine();

  // Values go where they belong while the line is parsed, and what stands there before is the
  // default, which --help tells. `name`: "--rounds", or "COUNT" for what goes by its place.
  // T: std::string, a vector of strings (the option may be given again), int, unsigned,
  // std::uint16_t, std::uint64_t or double. What is required has a string or whole numbers.
  template <typename T>
  void add(const std::string& name, T& value, const std::string& help = "");
  template <typename T>
  void require(const std::string& name, T& value, const std::string& help = "");
  // With commas between them; T: std::string, unsigned or std::uint64_t. What is required: strings.
  template <typename T>
  void add_list(const std::string& name, std::vector<T>& values, const std::string& help = "");
  template <typename T>
  void require_list(const std::string& name, std::vector<T>& values, const std::string& help = "");
  void add_flag(const std::string& name, bool& value, const std::string& help = "");
  // What --version prints.
  void set_version(const std::string& version);

  // Nothing: go on. Otherwise what to end with: 0 after --help, and 2 where the line is wrong,
  // which has been told on stderr.
  [[nodiscard]] std::optional<int> parse(int count, const char* const* arguments);

 private:
  std::unique_ptr<CLI::App> app_;
};

}  // namespace moat
