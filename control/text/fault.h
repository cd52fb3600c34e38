// SPDX-License-Identifier: BSD-2-Clause
// What is wrong with something a person wrote, where, and how to mend it.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace moat {

// A place in a file. Lines and columns count from 1 (columns in bytes); 0 means the whole file.
struct Place {
  std::string file;
  unsigned line = 0;
  unsigned column = 0;

  friend bool operator==(const Place&, const Place&) = default;
};

enum class Severity { error, warning };

struct Fault {
  Severity severity = Severity::error;
  Place place;
  std::string message;    // what is wrong, in words
  std::string value;      // the bad value as written, or empty
  std::string remedy;     // what to do, or empty
  std::size_t count = 1;  // of the faults that it stands for: see FaultLog::take()
};

using Faults = std::vector<Fault>;

// How many there are.
[[nodiscard]] std::size_t count_faults(const Faults& faults);

// "FILE:LINE:COLUMN: error: MESSAGE: "VALUE" (REMEDY)"
[[nodiscard]] std::string format_fault(const Fault& fault);

// Three of them, errors before warnings: for where a long list would hide all else.
[[nodiscard]] Faults some_faults(const Faults& faults);

[[nodiscard]] bool has_error(const Faults& faults);

}  // namespace moat
