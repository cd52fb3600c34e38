// SPDX-License-Identifier: BSD-2-Clause
// A YAML file as a tree that remembers where everything stood. Takes the part of YAML that people
// need for rules: maps, lists and scalars, one document, each key once. Anchors, aliases, tags,
// directives and nesting beyond `limits::nesting` are faults, found before anything recurses.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/text/fault_log.h"

namespace moat {

struct Node {
  enum class Kind : std::uint8_t {
    null,    // nothing, `~` or `null`
    scalar,  //
    list,    //
    map,     //
    broken   // a fault is logged already: say no more about it
  };
  Kind kind = Kind::null;
  bool is_plain = false;       // a scalar without quotes
  bool is_flow = false;        // a list in [], a map in {}
  bool is_repeated = false;    // a key that its map has more than once
  std::uint32_t line = 0;      // from 1
  std::uint32_t column = 0;    // from 1, in bytes
  std::uint32_t offset = 0;    // of its first byte in the file
  std::string text;            // of a scalar, quotes and escapes undone
  std::vector<Node> children;  // of a list: the items; of a map: key, value, key, value...

  [[nodiscard]] Spot spot() const { return {line, column}; }
  [[nodiscard]] bool is(Kind wanted) const { return kind == wanted; }
};

// What stands beside a key in the children of its map.
[[nodiscard]] inline const Node& value_of(const Node& key) { return *(&key + 1); }

struct YamlTree {
  std::optional<Node> root;  // nothing: the file is empty, or nothing of it could be read
  // False: reading ended early, and `root` holds only what was complete until then.
  bool is_whole = false;
};

// `bytes` may have any content; what is wrong with it goes to `log`.
[[nodiscard]] YamlTree read_yaml(std::string_view bytes, FaultLog& log);

// Whether all was read, and is not empty. What is not so is in `log`, an empty file with that remedy.
[[nodiscard]] bool is_filled(const YamlTree& tree, const char* remedy, FaultLog& log);

}  // namespace moat
