// SPDX-License-Identifier: BSD-2-Clause
// How the command writes: data on stdout, as tables for a person or JSON for a program; messages on
// stderr. Colour only on a terminal, and not where NO_COLOR is set.
#pragma once

#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/cli/client.h"
#include "control/text/utf8.h"

namespace moat {

enum class Colour { none, good, bad, doubtful, faint, strong };

// `text` in the colour, if `stream` is to have any.
[[nodiscard]] std::string paint(std::string_view text, Colour colour, FILE* stream = stdout);

struct Cell {
  std::string text;
  Colour colour = Colour::none;
};

struct Column {
  std::string name;
  bool is_number = false;  // to the right
};

class TextTable {
 public:
  explicit TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // As many cells as there are columns.
  void add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }
  [[nodiscard]] bool empty() const { return rows_.empty(); }
  [[nodiscard]] std::size_t size() const { return rows_.size(); }
  // Nothing if it is empty. Cells as libsmartcols writes them: a control character, and a backslash
  // before an x, is \xNN. What reorders text stays, other than in printable().
  void print(FILE* stream = stdout) const;
  // The same, with the colours that `stream` is to have.
  [[nodiscard]] std::string text(FILE* stream = stdout) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// "-" for what is not there.
[[nodiscard]] std::string or_dash(const std::string& text);
[[nodiscard]] std::string or_dash(std::uint16_t number);

void print_json(const Json& document);
void print_json_line(const Json& document);
void write_text(std::string_view text, FILE* stream = stdout);
void print_line(std::string_view text);                          // to stdout
void tell(std::string_view text, Colour colour = Colour::none);  // to stderr, one line
// As `moat check` words them.
void print_faults(const Faults& faults, FILE* stream);
// The first few, errors before warnings, and how many more there are.
void print_some_faults(const Faults& faults, FILE* stream);

// Tells why, as JSON on stdout too where that is wanted, and gives the exit code.
[[nodiscard]] Exit fail(const Cli& cli, const CommandError& failure);

// "192.0.2.1:40000", "[2001:db8::1]:40000"
[[nodiscard]] std::string format_peer(const SessionView& session);
// "2 databases", "1 database"
[[nodiscard]] std::string plural(std::size_t count, std::string_view singular);
// "3 s ago", "2 h ago"; "-" for never
[[nodiscard]] std::string ago(const std::optional<std::chrono::system_clock::time_point>& time);
// "3 s", "2 h": since then
[[nodiscard]] std::string format_age(std::chrono::system_clock::time_point time);
// "9 ms", "1.2 s", "120 s"
[[nodiscard]] std::string format_duration(Milliseconds duration);
// "1,234,567"
[[nodiscard]] std::string format_number(std::uint64_t number);
// "1.2 MiB"
[[nodiscard]] std::string format_bytes(std::uint64_t bytes);

}  // namespace moat
