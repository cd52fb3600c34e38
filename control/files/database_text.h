// SPDX-License-Identifier: BSD-2-Clause
// A database file's bytes and what they say, for who edits them: read once for both.
#pragma once

#include <string>

#include "control/files/reading.h"
#include "control/yaml/node.h"

namespace moat {

struct DatabaseText {
  std::string file;  // as faults name it
  std::string bytes;
  WallTime now;  // by which rules have expired
  YamlTree tree = {};
  DatabaseResult reading = {};
};

[[nodiscard]] DatabaseText read_database_text(std::string file, std::string bytes, WallTime now);

}  // namespace moat
