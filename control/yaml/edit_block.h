// SPDX-License-Identifier: BSD-2-Clause
// Edits of lists whose items stand on lines of their own, each begun by a dash.
#pragma once

#include <cstddef>
#include <expected>
#include <string>

#include "control/text/text_lines.h"
#include "control/yaml/edit_flow.h"
#include "control/yaml/node.h"
#include "dataplane/error.h"

namespace moat {

// How the items of a list are written.
struct BlockStyle {
  std::size_t column = 2;   // of the dash, from 0
  std::size_t gap = 2;      // from the dash to what follows it
  bool has_braces = false;  // - {cidr: ...}
};

// That of its last item.
[[nodiscard]] BlockStyle style_of(const TextLines& lines, const Node& list);

// The item's lines, each with a line end.
[[nodiscard]] std::string block_text(const Item& item, BlockStyle style, std::string_view line_end);

// The last line that belongs to the value of the root's key `key`.
[[nodiscard]] std::size_t last_line_of_value(const TextLines& lines, const Node& root,
                                             const Node& key);

// `key` is a key of `root`, and its value a list with at least one item.
[[nodiscard]] std::expected<Changes, Error> append_to_block(const TextLines& lines,
                                                            const Node& root, const Node& key,
                                                            const Item& item);
[[nodiscard]] std::expected<Changes, Error> remove_from_block(const TextLines& lines,
                                                              const Node& root, const Node& key,
                                                              std::size_t index);

// Removes one of the pairs of an item whose dash is followed by `pairs`, each from its key to the
// end of its value, on lines of their own.
[[nodiscard]] std::expected<Changes, Error> remove_block_pair(const TextLines& lines,
                                                              const std::vector<Span>& pairs,
                                                              std::size_t index);

}  // namespace moat
