// SPDX-License-Identifier: BSD-2-Clause
#include "control/yaml/edit.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <vector>

#include "control/text/utf8.h"

namespace moat {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Words that some reader of YAML takes for something other than text.
bool is_reserved(std::string_view text) {
  constexpr std::array<std::string_view, 10> words = {"null", "true", "false", "yes", "no",
                                                      "on",   "off",  "y",     "n",   "nan"};
  return std::ranges::any_of(words, [text](std::string_view word) {
    return std::ranges::equal(word, text, [](char w, char c) { return w == (c | 0x20); });
  });
}

bool is_safe_plain(std::string_view text) {
  constexpr std::string_view safe = " ._-+/()@'&!?";
  const bool is_made_of_safe = std::ranges::all_of(text, [safe](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || safe.find(c) != std::string_view::npos ||
           static_cast<unsigned char>(c) >= 0x80;
  });
  return !text.empty() && is_letter(text[0]) && text.back() != ' ' && is_made_of_safe &&
         !is_reserved(text) && !find_control(text);
}

}  // namespace

std::string quote_scalar(std::string_view text) {
  if (is_safe_plain(text)) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      quoted += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

YamlText::YamlText(std::string_view bytes, const Node& root)
    : root_(root), lines_(bytes), brackets_(bytes, root) {}

YamlText::Result YamlText::append_item(std::string_view name, const Item& item) const {
  const auto* key = find_key(name);
  if (key == nullptr) {
    const auto style = style_of_new_list();
    return apply(add_key(
        fmt::format("{}:{}{}", name, lines_.line_end(), block_text(item, style, lines_.line_end())),
        fmt::format("{}: [{}]", name, flow_text(item))));
  }
  const auto& list = value_of(*key);
  if (list.children.empty()) return apply(fill_empty(*key, item));
  if (list.is_flow) return apply(append_to_flow(lines_, brackets_, list, item));
  return apply(append_to_block(lines_, root_, *key, item));
}

YamlText::Result YamlText::remove_item(std::string_view name, std::size_t index,
                                       WhenEmpty when) const {
  const auto* key = find_key(name);
  if (key == nullptr) return std::unexpected(unknown_layout());
  const auto& list = value_of(*key);
  if (list.children.size() == 1) return apply(remove_only_item(*key, when));
  if (list.is_flow) return apply(remove_from_flow(lines_, brackets_, list, index));
  return apply(remove_from_block(lines_, root_, *key, index));
}

YamlText::Result YamlText::set_value(std::string_view name, std::string_view value) const {
  const auto* key = find_key(name);
  if (key == nullptr) {
    const auto entry = fmt::format("{}: {}", name, value);
    return apply(add_key(fmt::format("{}{}", entry, lines_.line_end()), entry));
  }
  return apply(replace_value(*key, value));
}

YamlText::Result YamlText::set_in_item(std::string_view name, std::size_t index,
                                       std::string_view key,
                                       std::optional<std::string_view> value) const {
  const auto* list = find_key(name);
  if (list == nullptr) return std::unexpected(unknown_layout());
  const auto& item = value_of(*list).children[index];
  // A pair of a list in brackets, without braces of its own, has no end that could be told.
  const bool is_in_brackets = value_of(*list).is_flow || item.is_flow;
  if (is_in_brackets && !brackets_.is_at(item.offset, '{')) {
    return std::unexpected(unknown_layout());
  }
  for (std::size_t i = 0; i < item.children.size(); i += 2) {
    if (item.children[i].text != key) continue;
    if (value) return apply(replace_value(item.children[i], *value));
    return apply(remove_pair(item, i / 2));
  }
  if (!value) return std::string(lines_.bytes());
  return apply(add_pair(item, fmt::format("{}: {}", key, *value)));
}

Changes YamlText::replace_value(const Node& key, std::string_view value) const {
  const auto begin = value_of(key).offset;
  return {{begin, end_of_value(key) - begin, std::string(value)}};
}

// After the item's last pair.
Changes YamlText::add_pair(const Node& item, const std::string& pair) const {
  const auto end = end_of_value(*std::prev(item.children.end(), 2));
  if (item.is_flow) return {{end, 0, ", " + pair}};
  const std::string indent(lines_.column_at(item.children.front().offset), ' ');
  return {
      lines_.insert_after(lines_.line_at(end - 1), indent + pair + std::string(lines_.line_end()))};
}

std::expected<Changes, Error> YamlText::remove_pair(const Node& item, std::size_t index) const {
  std::vector<Span> pairs;
  for (std::size_t i = 0; i < item.children.size(); i += 2) {
    pairs.push_back({item.children[i].offset, end_of_value(item.children[i])});
  }
  if (item.is_flow) return remove_entry(lines_, brackets_, item.offset, pairs, index);
  return remove_block_pair(lines_, pairs, index);
}

const Node* YamlText::find_key(std::string_view name) const {
  for (std::size_t i = 0; i < root_.children.size(); i += 2) {
    if (root_.children[i].text == name) return &root_.children[i];
  }
  return nullptr;
}

std::size_t YamlText::end_of_value(const Node& key) const {
  const auto& value = value_of(key);
  if (value.is_flow) return brackets_.end_of_brackets(value.offset);
  if (!value.is_plain) return brackets_.end_of_quotes(value.offset);
  return value.offset + value.text.size();
}

// `key: []` becomes a block list where there is room for one.
std::expected<Changes, Error> YamlText::fill_empty(const Node& key, const Item& item) const {
  const auto begin = value_of(key).offset;
  const auto end = end_of_value(key);
  const auto bytes = lines_.bytes();
  const bool is_bare = brackets_.next_token(begin + 1) == end - 1 &&
                       lines_.line_at(begin) == lines_.line_at(end - 1);
  const bool is_beside_key = lines_.line_at(key.offset) == lines_.line_at(begin);
  if (root_.is_flow || !is_bare || !is_beside_key) {
    if (!lines_.is_start_empty(end - 1)) return Changes{{end - 1, 0, flow_text(item)}};
    const std::string indent(lines_.column_at(end - 1) + 2, ' ');
    return Changes{{lines_.start_of(lines_.line_at(end - 1)), 0,
                    fmt::format("{}{}{}", indent, flow_text(item), lines_.line_end())}};
  }
  const auto colon = bytes.rfind(':', begin);
  auto text = block_text(item, style_of_new_list(), lines_.line_end());
  return Changes{{colon + 1, end - colon - 1, {}},
                 lines_.insert_after(lines_.line_at(begin), std::move(text))};
}

std::expected<Changes, Error> YamlText::remove_only_item(const Node& key, WhenEmpty when) const {
  const auto& list = value_of(key);
  if (when == WhenEmpty::remove_key && !root_.is_flow) {
    LineRange range{lines_.line_at(key.offset), last_line_of_value(lines_, root_, key)};
    // What stands at the top of the file is about the file.
    const auto next = range.last + 1;
    const bool heads_more =
        next < lines_.count() && !lines_.is_blank(next) && !lines_.is_comment(next);
    const auto comment = lines_.first_comment_above(range.first, 0);
    if (comment > 0 && !heads_more) range.first = comment;
    return Changes{lines_.erase(range)};
  }
  if (list.is_flow) {
    auto changes = remove_from_flow(lines_, brackets_, list, 0);
    if (!changes) return changes;
    // Brackets round nothing but blanks are closed up.
    const auto& gone = changes->front();
    const auto end = end_of_value(key);
    const auto inside = lines_.bytes().substr(list.offset + 1, end - list.offset - 2);
    const auto left = apply_changes(inside, {{gone.offset - list.offset - 1, gone.erased, {}}});
    if (left.find_first_not_of(" \t\r\n") != std::string::npos) return changes;
    return Changes{{list.offset + 1, inside.size(), {}}};
  }
  auto changes = remove_from_block(lines_, root_, key, 0);
  if (!changes) return changes;
  const auto end_of_key =
      key.is_plain ? key.offset + key.text.size() : brackets_.end_of_quotes(key.offset);
  const auto colon = brackets_.next_token(end_of_key);
  if (!brackets_.is_at(colon, ':')) return std::unexpected(unknown_layout());
  changes->push_back({colon + 1, 0, " []"});
  return changes;
}

// A new entry of the root: below all others, or, in braces, before them.
Changes YamlText::add_key(std::string_view in_block, std::string_view in_flow) const {
  if (root_.is_flow) {
    return {{root_.offset + 1, 0, fmt::format("{}, ", in_flow)}};
  }
  const auto& last_key = *std::prev(root_.children.end(), 2);
  const auto indent = lines_.column_at(root_.offset);
  return {lines_.insert_after(last_line_of_value(lines_, root_, last_key),
                              std::string(indent, ' ').append(in_block))};
}

// As the file's other list is, if it has one.
BlockStyle YamlText::style_of_new_list() const {
  for (std::size_t i = 1; i < root_.children.size(); i += 2) {
    const auto& value = root_.children[i];
    const bool is_block_list = value.is(Node::Kind::list) && !value.is_flow;
    if (is_block_list && !value.children.empty()) return style_of(lines_, value);
  }
  return {.column = lines_.column_at(root_.offset) + 2};
}

YamlText::Result YamlText::apply(const std::expected<Changes, Error>& changes) const {
  if (!changes) return std::unexpected(changes.error());
  return apply_changes(lines_.bytes(), *changes);
}

}  // namespace moat
