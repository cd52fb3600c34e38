// SPDX-License-Identifier: BSD-2-Clause
// Lists by lines: plain text, and the geofeeds of RFC 8805.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "control/agent/list_entries.h"
#include "control/text/trim.h"
#include "control/text/utf8.h"

namespace moat {
namespace {

constexpr std::string_view blanks = " \t\r\f";
constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
constexpr std::string_view serial_key = "serial:";

// Where the comment of a line begins; its end if it has none.
std::size_t find_comment(std::string_view line) {
  for (std::size_t i = 0; i < line.size(); ++i) {
    const bool begins = i == 0 || blanks.contains(line[i - 1]);
    if (line[i] == '#' || line[i] == ';') return i;
    if (begins && line.substr(i).starts_with("//")) return i;
  }
  return line.size();
}

// Calls `take(line, number)` for each line until it is false.
template <typename Take>
void for_each_line(std::string_view bytes, Take take) {
  if (bytes.starts_with(byte_order_mark)) bytes.remove_prefix(byte_order_mark.size());
  for (unsigned number = 1; !bytes.empty(); ++number) {
    const auto end = bytes.find('\n');
    if (!take(bytes.substr(0, end), number) || end == std::string_view::npos) return;
    bytes.remove_prefix(end + 1);
  }
}

// "# serial: 42", which a list of one's own may have.
void note_serial(std::string_view comment, ListEntries& entries) {
  comment =
      trim(comment.substr(std::min(comment.find_first_not_of("#;/"), comment.size())), blanks);
  if (!comment.starts_with(serial_key)) return;
  comment.remove_prefix(serial_key.size());
  entries.set_version(trim(comment, blanks));
}

// Fields of a line of CSV; quotes may be around them (RFC 4180).
std::vector<std::string> split_csv(std::string_view line) {
  std::vector<std::string> fields(1);
  bool is_quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '"' && is_quoted && line.substr(i + 1).starts_with('"')) {
      fields.back() += '"';
      ++i;
    } else if (c == '"') {
      is_quoted = !is_quoted;
    } else if (c == ',' && !is_quoted) {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  for (auto& field : fields) field = trim(field, blanks);
  return fields;
}

// Names of columns, which RFC 8805 has not and some feeds have.
bool is_heading(const std::string& first_field) {
  return first_field.find_first_of("0123456789:") == std::string::npos ||
         first_field.starts_with("ip_") || first_field.starts_with("IP");
}

}  // namespace

Result<ParsedList> parse_text_list(std::string_view bytes, const Selection& selection) {
  ListEntries entries(selection);
  for_each_line(bytes, [&](std::string_view line, unsigned number) {
    const auto comment = find_comment(line);
    note_serial(line.substr(comment), entries);
    const auto content = trim(line.substr(0, comment), blanks);
    return content.empty() || entries.add(content, fmt::format("line {}", number));
  });
  return entries.finish();
}

Result<ParsedList> parse_geofeed(std::string_view bytes, const Selection& selection) {
  static constexpr std::array<std::string_view, 3> columns = {"country", "region", "city"};
  ListEntries entries(selection);
  bool may_be_heading = true;
  for_each_line(bytes, [&](std::string_view line, unsigned number) {
    const auto content = trim(line, blanks);
    if (content.empty() || content.starts_with('#')) return true;
    const auto fields = split_csv(content);
    const bool is_first = std::exchange(may_be_heading, false);
    if (is_first && is_heading(fields[0])) return true;
    bool is_selected = true;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const auto value = i + 1 < fields.size() ? fields[i + 1] : std::string();
      is_selected &= entries.selects(columns[i], {value});
    }
    const auto where = fmt::format("line {}", number);
    if (is_selected) return entries.add(fields[0], where);
    // What is not selected is read as strictly: a feed with errors is not to be trusted in parts.
    if (const auto entry = parse_entry(fields[0]); entry) return true;
    entries.fail(
        fmt::format("{}: not a network: \"{}\"", where, printable(shorten(fields[0], 60))));
    return false;
  });
  return entries.finish();
}

}  // namespace moat
