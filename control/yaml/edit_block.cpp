// SPDX-License-Identifier: BSD-2-Clause
#include "control/yaml/edit_block.h"

#include <fmt/format.h>

#include <vector>

namespace moat {
namespace {

// The line after all that could belong to the value of `key`: where the next key of the root
// stands, the document's end mark, or the file's end.
std::size_t line_after_value(const TextLines& lines, const Node& root, const Node& key) {
  for (std::size_t i = 0; i < root.children.size(); i += 2) {
    const auto& next = root.children[i];
    if (next.offset > key.offset) return lines.line_at(next.offset);
  }
  auto line = lines.line_at(key.offset);
  while (line < lines.count() && !lines.line(line).starts_with("...")) ++line;
  return line;
}

bool starts_item(const TextLines& lines, std::size_t line, std::size_t column) {
  const auto text = lines.line(line);
  return lines.indentation(line) == column && column < text.size() && text[column] == '-' &&
         (column + 1 == text.size() || text[column + 1] == ' ');
}

// The lines of each item, from its dash to its last content.
std::expected<std::vector<LineRange>, Error> find_items(const TextLines& lines, const Node& root,
                                                        const Node& key) {
  const auto& list = value_of(key);
  const auto column = lines.column_at(list.offset);
  std::vector<LineRange> items;
  for (const auto& item : list.children) {
    auto line = lines.line_at(item.offset);
    const auto lowest = items.empty() ? lines.line_at(key.offset) + 1 : items.back().first + 1;
    while (line >= lowest && !starts_item(lines, line, column)) --line;
    if (line < lowest) return std::unexpected(unknown_layout());
    if (!items.empty()) items.back().last = line - 1;
    items.push_back({line, line});
  }
  items.back().last = line_after_value(lines, root, key) - 1;
  for (auto& item : items) item.last = lines.last_content(item, column);
  return items;
}

}  // namespace

BlockStyle style_of(const TextLines& lines, const Node& list) {
  const auto& last = list.children.back();
  BlockStyle style;
  style.column = lines.column_at(list.offset);
  style.has_braces = last.is_flow;
  if (starts_item(lines, lines.line_at(last.offset), style.column)) {
    style.gap = lines.column_at(last.offset) - style.column;
  }
  return style;
}

std::string block_text(const Item& item, BlockStyle style, std::string_view line_end) {
  std::string indent(style.column, ' ');
  std::string text = fmt::format("{}-{:{}}", indent, "", style.gap - 1);
  if (style.has_braces) return fmt::format("{}{}{}", text, flow_text(item), line_end);
  const std::string next(style.column + style.gap, ' ');
  for (bool is_first = true; const auto& [key, value] : item) {
    text += fmt::format("{}{}: {}{}", is_first ? "" : next, key, value, line_end);
    is_first = false;
  }
  return text;
}

std::size_t last_line_of_value(const TextLines& lines, const Node& root, const Node& key) {
  const LineRange range{lines.line_at(key.offset), line_after_value(lines, root, key) - 1};
  return lines.last_content(range, lines.column_at(key.offset));
}

std::expected<Changes, Error> append_to_block(const TextLines& lines, const Node& root,
                                              const Node& key, const Item& item) {
  const auto items = find_items(lines, root, key);
  if (!items) return std::unexpected(items.error());
  const auto style = style_of(lines, value_of(key));
  return Changes{lines.insert_after(items->back().last, block_text(item, style, lines.line_end()))};
}

std::expected<Changes, Error> remove_from_block(const TextLines& lines, const Node& root,
                                                const Node& key, std::size_t index) {
  const auto items = find_items(lines, root, key);
  if (!items) return std::unexpected(items.error());
  auto range = (*items)[index];
  // A comment above an item right below which the next one stands heads both.
  const bool heads_more = index + 1 < items->size() && (*items)[index + 1].first == range.last + 1;
  const auto above = index == 0 ? lines.line_at(key.offset) : (*items)[index - 1].last;
  if (!heads_more) range.first = lines.first_comment_above(range.first, above + 1);
  return Changes{lines.erase(range)};
}

std::expected<Changes, Error> remove_block_pair(const TextLines& lines,
                                                const std::vector<Span>& pairs, std::size_t index) {
  const auto [begin, end] = pairs[index];
  LineRange range{lines.line_at(begin), lines.line_at(end - 1)};
  const bool is_last = index + 1 == pairs.size();
  if (lines.is_start_empty(begin)) {
    const bool heads_more = !is_last && lines.line_at(pairs[index + 1].begin) == range.last + 1;
    if (index > 0 && !heads_more) {
      const auto above = lines.line_at(pairs[index - 1].end - 1);
      range.first = lines.first_comment_above(range.first, above + 1);
    }
    return Changes{lines.erase(range)};
  }
  // It stands beside the dash, where the next one goes.
  if (is_last || lines.line_at(pairs[index + 1].begin) != range.last + 1) {
    return std::unexpected(unknown_layout());
  }
  return Changes{{begin, pairs[index + 1].begin - begin, {}}};
}

}  // namespace moat
