// SPDX-License-Identifier: BSD-2-Clause
// What is wrong with something a person wrote, where, and how to mend it.
#pragma once

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
  std::string message;  // what is wrong, in words
  std::string value;    // the bad value as written, or empty
  std::string remedy;   // what to do, or empty
};

using Faults = std::vector<Fault>;

// "FILE:LINE:COLUMN: error: MESSAGE: "VALUE" (REMEDY)"
[[nodiscard]] std::string format_fault(const Fault& fault);

[[nodiscard]] bool has_error(const Faults& faults);

}  // namespace moat
