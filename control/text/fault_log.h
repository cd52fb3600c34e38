// SPDX-License-Identifier: BSD-2-Clause
// Gathers the faults of one file while it is read.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "control/text/fault.h"

namespace moat {

// A place in the file that is being read; both count from 1, and 0 means the whole file.
struct Spot {
  unsigned line = 0;
  unsigned column = 0;
};

class FaultLog {
 public:
  explicit FaultLog(std::string file) : file_(std::move(file)) {}

  void error(Spot spot, std::string message, std::string_view value = {}, std::string remedy = {}) {
    add(Severity::error, spot, std::move(message), value, std::move(remedy));
  }
  void warning(Spot spot, std::string message, std::string_view value = {},
               std::string remedy = {}) {
    add(Severity::warning, spot, std::move(message), value, std::move(remedy));
  }

  [[nodiscard]] const std::string& file() const { return file_; }
  [[nodiscard]] Place place(Spot spot) const { return {file_, spot.line, spot.column}; }
  [[nodiscard]] std::size_t errors() const { return errors_; }

  // The faults by line and column, `limits::faults` of them at most; then one more says how many
  // were left out, and is an error if one of those was. Errors are kept before warnings.
  [[nodiscard]] Faults take();

 private:
  void add(Severity severity, Spot spot, std::string message, std::string_view value,
           std::string remedy);

  std::string file_;
  Faults kept_errors_;
  Faults kept_warnings_;
  std::size_t errors_ = 0;
  std::size_t warnings_ = 0;
};

}  // namespace moat
