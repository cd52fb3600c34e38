// SPDX-License-Identifier: BSD-2-Clause
#include "control/yaml/edit_flow.h"

#include <fmt/format.h>

#include <algorithm>

namespace moat {
namespace {

void collect_quoted(const Node& node, std::vector<std::size_t>& offsets) {
  if (node.is(Node::Kind::scalar) && !node.is_plain) offsets.push_back(node.offset);
  for (const auto& child : node.children) collect_quoted(child, offsets);
}

// Where the items are. A pair without braces has no end that could be told.
std::expected<std::vector<Span>, Error> find_items(const Brackets& brackets, const Node& list) {
  std::vector<Span> items;
  for (const auto& item : list.children) {
    if (!brackets.is_at(item.offset, '{')) return std::unexpected(unknown_layout());
    items.push_back({item.offset, brackets.end_of_brackets(item.offset)});
  }
  return items;
}

// The item with the comma after it, if there is one.
Span with_comma(const Brackets& brackets, Span item) {
  const auto next = brackets.next_token(item.end);
  return brackets.is_at(next, ',') ? Span{item.begin, next + 1} : item;
}

// Whether the lines of `span` hold nothing else, but for a comment after it.
bool has_own_lines(const TextLines& lines, Span span) {
  return lines.is_start_empty(span.begin) && lines.is_rest_empty(span.end);
}

bool are_on_one_line(const TextLines& lines, std::size_t a, std::size_t b) {
  return lines.line_at(a) == lines.line_at(b);
}

// As with dashes, a comment above an item right below which the next one stands heads both.
Change erase_lines_of(const TextLines& lines, std::size_t opening, const std::vector<Span>& items,
                      std::size_t index, Span whole) {
  LineRange range{lines.line_at(whole.begin), lines.line_at(whole.end - 1)};
  const bool heads_more =
      index + 1 < items.size() && lines.line_at(items[index + 1].begin) == range.last + 1;
  const auto above = index == 0 ? lines.line_at(opening) : lines.line_at(items[index - 1].end);
  if (!heads_more) range.first = lines.first_comment_above(range.first, above + 1);
  return lines.erase(range);
}

// What to erase of an item that shares its line with others: with one of the gaps beside it.
Span inline_span(const TextLines& lines, const Brackets& brackets, const std::vector<Span>& items,
                 std::size_t index) {
  const auto item = items[index];
  const auto whole = with_comma(brackets, item);
  if (index + 1 < items.size()) {
    const auto next = items[index + 1].begin;
    return {item.begin, are_on_one_line(lines, item.end - 1, next) ? next : whole.end};
  }
  if (index > 0 && are_on_one_line(lines, items[index - 1].end - 1, item.begin)) {
    return {items[index - 1].end, item.end};
  }
  return whole;
}

}  // namespace

Error unknown_layout() {
  return {"the file is laid out in a way that cannot be edited safely",
          "edit it by hand, or write one item a line, each begun by a dash"};
}

Brackets::Brackets(std::string_view bytes, const Node& root) : bytes_(bytes) {
  collect_quoted(root, quoted_);
  std::ranges::sort(quoted_);
}

std::size_t Brackets::end_of_quotes(std::size_t offset) const {
  const char quote = bytes_[offset];
  for (auto at = offset + 1; at < bytes_.size(); ++at) {
    if (quote == '"' && bytes_[at] == '\\') {
      ++at;
    } else if (bytes_[at] == quote) {
      if (quote == '"' || !is_at(at + 1, quote)) return at + 1;
      ++at;  // '' is a quote within
    }
  }
  return bytes_.size();
}

std::size_t Brackets::end_of_brackets(std::size_t offset) const {
  int depth = 0;
  for (auto at = next_token(offset); at < bytes_.size(); at = next_token(at)) {
    if (std::ranges::binary_search(quoted_, at)) {
      at = end_of_quotes(at);
      continue;
    }
    const char c = bytes_[at++];
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || c == '}') --depth;
    if (depth == 0) return at;
  }
  return bytes_.size();
}

std::size_t Brackets::next_token(std::size_t offset) const {
  constexpr std::string_view blanks = " \t\r\n";
  auto at = offset;
  while (at < bytes_.size()) {
    const bool is_blank = blanks.find(bytes_[at]) != std::string_view::npos;
    // A # within a word is no comment.
    const bool starts_comment =
        bytes_[at] == '#' && at > 0 && blanks.find(bytes_[at - 1]) != std::string_view::npos;
    if (starts_comment) {
      at = std::min(bytes_.find('\n', at), bytes_.size());
    } else if (is_blank) {
      ++at;
    } else {
      break;
    }
  }
  return at;
}

std::string flow_text(const Item& item) {
  std::vector<std::string> pairs;
  for (const auto& [key, value] : item) pairs.push_back(fmt::format("{}: {}", key, value));
  return fmt::format("{{{}}}", fmt::join(pairs, ", "));
}

std::expected<Changes, Error> append_to_flow(const TextLines& lines, const Brackets& brackets,
                                             const Node& list, const Item& item) {
  const auto items = find_items(brackets, list);
  if (!items) return std::unexpected(items.error());
  const auto last = items->back();
  const auto whole = with_comma(brackets, last);
  const bool has_comma = whole.end != last.end;
  const auto text = flow_text(item);
  if (!lines.is_start_empty(last.begin)) {
    if (has_comma) return Changes{{whole.end, 0, fmt::format(" {},", text)}};
    return Changes{{last.end, 0, fmt::format(", {}", text)}};
  }
  // One item a line: so shall the new one be, below whatever comment the last one has.
  const auto line = lines.line_at(whole.end - 1);
  const auto indent = std::string(lines.column_at(last.begin), ' ');
  const auto new_line = fmt::format("{}{}{}", lines.line_end(), indent, text);
  if (!lines.is_rest_empty(whole.end)) {
    return Changes{{whole.end, 0, fmt::format("{}{}", has_comma ? "" : ",", new_line)}};
  }
  Changes changes;
  if (!has_comma) changes.push_back({last.end, 0, ","});
  const auto end_of_line = lines.start_of(line) + lines.line(line).size();
  if (!has_comma && end_of_line == last.end) return Changes{{last.end, 0, "," + new_line}};
  changes.push_back({end_of_line, 0, new_line + (has_comma ? "," : "")});
  return changes;
}

std::expected<Changes, Error> remove_from_flow(const TextLines& lines, const Brackets& brackets,
                                               const Node& list, std::size_t index) {
  const auto items = find_items(brackets, list);
  if (!items) return std::unexpected(items.error());
  return remove_entry(lines, brackets, list.offset, *items, index);
}

Changes remove_entry(const TextLines& lines, const Brackets& brackets, std::size_t opening,
                     const std::vector<Span>& entries, std::size_t index) {
  const auto whole = with_comma(brackets, entries[index]);
  if (has_own_lines(lines, whole)) {
    return {erase_lines_of(lines, opening, entries, index, whole)};
  }
  const auto span = inline_span(lines, brackets, entries, index);
  return {{span.begin, span.end - span.begin, {}}};
}

}  // namespace moat
