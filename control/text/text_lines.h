// SPDX-License-Identifier: BSD-2-Clause
// A text as lines, and changes to it. Lines are counted from 0 here.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace moat {

struct Change {
  std::size_t offset = 0;
  std::size_t erased = 0;
  std::string inserted;
};
using Changes = std::vector<Change>;  // apart from each other, in any order

[[nodiscard]] std::string apply_changes(std::string_view bytes, Changes changes);

// Lines from first to last, both included.
struct LineRange {
  std::size_t first = 0;
  std::size_t last = 0;
};

class TextLines {
 public:
  // `bytes` must outlive this.
  explicit TextLines(std::string_view bytes);

  [[nodiscard]] std::string_view bytes() const { return bytes_; }
  [[nodiscard]] std::size_t count() const { return starts_.size(); }
  [[nodiscard]] std::size_t line_at(std::size_t offset) const;
  [[nodiscard]] std::size_t start_of(std::size_t line) const;  // of line count(): the end
  [[nodiscard]] std::size_t column_at(std::size_t offset) const {
    return offset - start_of(line_at(offset));
  }
  // Without its line end.
  [[nodiscard]] std::string_view line(std::size_t index) const;
  // "\n" or "\r\n", whichever the first line has.
  [[nodiscard]] std::string_view line_end() const;

  // Spaces before the first other character.
  [[nodiscard]] std::size_t indentation(std::size_t index) const;
  [[nodiscard]] bool is_blank(std::size_t index) const;
  [[nodiscard]] bool is_comment(std::size_t index) const;
  // Whether only blanks or a comment follow in the line of `offset`.
  [[nodiscard]] bool is_rest_empty(std::size_t offset) const;
  // Whether only blanks precede in the line of `offset`.
  [[nodiscard]] bool is_start_empty(std::size_t offset) const;

  // The last line of `range` with content, or of the comment lines right below it that are indented
  // deeper than `column`, and so belong to it.
  [[nodiscard]] std::size_t last_content(LineRange range, std::size_t column) const;

  // The first of the comment lines right above `first` that speak of it: indented like it, and none
  // of them something commented out ("# - x", and what is indented below it, "#   y") or a rule
  // across the page ("# ----"). Not above line `lowest`; `first` if there are none.
  [[nodiscard]] std::size_t first_comment_above(std::size_t first, std::size_t lowest) const;

  // `text` has a line end after each line; the last one goes where the file has none either.
  [[nodiscard]] Change insert_after(std::size_t line, std::string text) const;
  [[nodiscard]] Change erase(LineRange range) const;

 private:
  std::string_view bytes_;
  std::vector<std::size_t> starts_;
};

}  // namespace moat
