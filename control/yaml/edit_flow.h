// SPDX-License-Identifier: BSD-2-Clause
// Edits of lists in brackets: [{...}, {...}].
#pragma once

#include <cstddef>
#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/text/text_lines.h"
#include "control/yaml/node.h"
#include "dataplane/error.h"

namespace moat {

// The keys and values of a new list item, the values as they shall stand in the file.
using Item = std::vector<std::pair<std::string_view, std::string>>;

[[nodiscard]] Error unknown_layout();

// Finds where brackets and quotes end. Which quotes open a scalar and which stand within a plain
// one (it's) is known from the tree.
class Brackets {
 public:
  Brackets(std::string_view bytes, const Node& root);

  // All give the offset after the closing character. `offset` is that of the opening one.
  [[nodiscard]] std::size_t end_of_quotes(std::size_t offset) const;
  [[nodiscard]] std::size_t end_of_brackets(std::size_t offset) const;
  // The next offset that is neither blank, line end nor comment.
  [[nodiscard]] std::size_t next_token(std::size_t offset) const;
  [[nodiscard]] bool is_at(std::size_t offset, char wanted) const {
    return offset < bytes_.size() && bytes_[offset] == wanted;
  }

 private:
  std::string_view bytes_;
  std::vector<std::size_t> quoted_;  // where quoted scalars begin, ascending
};

struct Span {  // of bytes: from begin to before end
  std::size_t begin = 0;
  std::size_t end = 0;
};

[[nodiscard]] std::string flow_text(const Item& item);

// `list` is in brackets and has at least one item.
[[nodiscard]] std::expected<Changes, Error> append_to_flow(const TextLines& lines,
                                                           const Brackets& brackets,
                                                           const Node& list, const Item& item);
// Leaves the brackets, with comments of the list itself.
[[nodiscard]] std::expected<Changes, Error> remove_from_flow(const TextLines& lines,
                                                             const Brackets& brackets,
                                                             const Node& list, std::size_t index);
// The same of `entries` of any brackets that open at `opening`: items of a list, pairs of a map.
[[nodiscard]] Changes remove_entry(const TextLines& lines, const Brackets& brackets,
                                   std::size_t opening, const std::vector<Span>& entries,
                                   std::size_t index);

}  // namespace moat
