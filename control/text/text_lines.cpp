// SPDX-License-Identifier: BSD-2-Clause
#include "control/text/text_lines.h"

#include <algorithm>

namespace moat {
namespace {

constexpr std::string_view blanks = " \t\r";

bool is_blank_text(std::string_view text) {
  return text.find_first_not_of(blanks) == std::string_view::npos;
}

}  // namespace

std::string apply_changes(std::string_view bytes, Changes changes) {
  std::ranges::sort(changes, {}, &Change::offset);
  std::string result;
  std::size_t at = 0;
  for (const auto& change : changes) {
    result += bytes.substr(at, change.offset - at);
    result += change.inserted;
    at = change.offset + change.erased;
  }
  return result.append(bytes.substr(at));
}

TextLines::TextLines(std::string_view bytes) : bytes_(bytes) {
  for (std::size_t start = 0; start < bytes.size();) {
    starts_.push_back(start);
    const auto end = bytes.find('\n', start);
    start = end == std::string_view::npos ? bytes.size() : end + 1;
  }
}

std::size_t TextLines::line_at(std::size_t offset) const {
  const auto after = std::ranges::upper_bound(starts_, offset);
  return static_cast<std::size_t>(after - starts_.begin()) - 1;
}

std::size_t TextLines::start_of(std::size_t line) const {
  return line < starts_.size() ? starts_[line] : bytes_.size();
}

std::string_view TextLines::line(std::size_t index) const {
  auto text = bytes_.substr(start_of(index), start_of(index + 1) - start_of(index));
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.ends_with('\r')) text.remove_suffix(1);
  return text;
}

std::string_view TextLines::line_end() const {
  const auto end = bytes_.find('\n');
  const bool has_return = end != std::string_view::npos && end > 0 && bytes_[end - 1] == '\r';
  return has_return ? "\r\n" : "\n";
}

std::size_t TextLines::indentation(std::size_t index) const {
  const auto text = line(index);
  return std::min(text.find_first_not_of(' '), text.size());
}

bool TextLines::is_blank(std::size_t index) const { return is_blank_text(line(index)); }

bool TextLines::is_comment(std::size_t index) const {
  return !is_blank(index) && is_rest_empty(start_of(index));
}

bool TextLines::is_rest_empty(std::size_t offset) const {
  const auto index = line_at(offset);
  const auto text = line(index);
  const auto rest = text.substr(std::min(offset - start_of(index), text.size()));
  const auto content = rest.find_first_not_of(blanks);
  return content == std::string_view::npos || rest[content] == '#';
}

bool TextLines::is_start_empty(std::size_t offset) const {
  const auto start = start_of(line_at(offset));
  return is_blank_text(bytes_.substr(start, offset - start));
}

std::size_t TextLines::last_content(LineRange range, std::size_t column) const {
  auto last = range.last;
  while (last > range.first && (is_blank(last) || is_comment(last))) --last;
  while (last < range.last && is_comment(last + 1) && indentation(last + 1) > column) ++last;
  return last;
}

std::size_t TextLines::first_comment_above(std::size_t first, std::size_t lowest) const {
  const auto column = indentation(first);
  const auto speaks = [&](std::size_t index) {
    if (!is_comment(index) || indentation(index) != column) return false;
    auto text = line(index).substr(column + 1);
    if (text.starts_with(' ')) text.remove_prefix(1);
    return !text.empty() && std::string_view("-=#* \t").find(text[0]) == std::string_view::npos;
  };
  while (first > lowest && speaks(first - 1)) --first;
  return first;
}

Change TextLines::insert_after(std::size_t line, std::string text) const {
  const auto offset = start_of(line + 1);
  if (offset > 0 && bytes_[offset - 1] != '\n') {
    text.resize(text.size() - line_end().size());
    text.insert(0, line_end());
  }
  return {offset, 0, std::move(text)};
}

Change TextLines::erase(LineRange range) const {
  const auto begin = start_of(range.first);
  const auto end = start_of(range.last + 1);
  return {begin, end - begin, {}};
}

}  // namespace moat
