// SPDX-License-Identifier: BSD-2-Clause
// Edits YAML as text: every byte that is not part of the change stays, comments and line ends too.
// The tree says where things begin; lines (yaml/block) and brackets (yaml/flow) say where they end.
//
//   block   each item on lines of its own, begun by a dash; added and removed by whole lines
//   flow    [{...}, {...}] on one line or several; added and removed between the brackets
//
// Where it is not clear what belongs to an item, the edit is refused. A caller must read the result
// all the same and hold it against what it wanted.
#pragma once

#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "control/text/text_lines.h"
#include "control/yaml/edit_block.h"
#include "control/yaml/edit_flow.h"
#include "control/yaml/node.h"
#include "dataplane/error.h"

namespace moat {

enum class WhenEmpty { keep_key, remove_key };

// `text` as a YAML scalar: as it is where that is safe in any place, else in double quotes.
[[nodiscard]] std::string quote_scalar(std::string_view text);

class YamlText {
 public:
  // Both must outlive this. `root` is the map that read_yaml found in `bytes`, without errors.
  YamlText(std::string_view bytes, const Node& root);

  using Result = std::expected<std::string, Error>;

  // Adds to the list under the root's `name`, which is made if need be.
  [[nodiscard]] Result append_item(std::string_view name, const Item& item) const;

  // Removes one item, and the comment lines above it that speak of it alone. What is left of
  // the last one is `name: []`, or nothing.
  [[nodiscard]] Result remove_item(std::string_view name, std::size_t index, WhenEmpty when) const;

  // Gives the root's `name` a scalar, as it shall stand in the file.
  [[nodiscard]] Result set_value(std::string_view name, std::string_view value) const;

  // Gives `key` of one item, which is a map, a scalar as it shall stand in the file; nothing: takes
  // the key out, with the comment lines above it that speak of it alone.
  [[nodiscard]] Result set_in_item(std::string_view name, std::size_t index, std::string_view key,
                                   std::optional<std::string_view> value) const;

 private:
  [[nodiscard]] const Node* find_key(std::string_view name) const;
  [[nodiscard]] Changes replace_value(const Node& key, std::string_view value) const;
  [[nodiscard]] Changes add_pair(const Node& item, const std::string& pair) const;
  [[nodiscard]] std::expected<Changes, Error> remove_pair(const Node& item,
                                                          std::size_t index) const;
  [[nodiscard]] std::expected<Changes, Error> fill_empty(const Node& key, const Item& item) const;
  [[nodiscard]] std::expected<Changes, Error> remove_only_item(const Node& key,
                                                               WhenEmpty when) const;
  [[nodiscard]] Changes add_key(std::string_view in_block, std::string_view in_flow) const;
  [[nodiscard]] BlockStyle style_of_new_list() const;
  [[nodiscard]] std::size_t end_of_value(const Node& key) const;
  [[nodiscard]] Result apply(const std::expected<Changes, Error>& changes) const;

  const Node& root_;
  TextLines lines_;
  Brackets brackets_;
};

}  // namespace moat
