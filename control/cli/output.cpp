// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/output.h"

#include <fmt/format.h>
#include <libsmartcols/libsmartcols.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <clocale>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>

#include "control/cli/pager.h"
#include "control/policy/json_text.h"
#include "control/text/utf8.h"

namespace moat {
namespace {

bool wants_colour(FILE* stream) {
  const char* no_colour = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  if (no_colour != nullptr && *no_colour != '\0') return false;
  if (terminal == nullptr || std::string_view(terminal) == "dumb") return false;
  if (stream == stdout && std::getenv(pager_variable) != nullptr) return true;
  return isatty(fileno(stream)) != 0;
}

const char* sequence(Colour colour) {
  switch (colour) {
    case Colour::none:
      return "";
    case Colour::good:
      return "\033[32m";
    case Colour::bad:
      return "\033[1;31m";
    case Colour::doubtful:
      return "\033[33m";
    case Colour::faint:
      return "\033[2m";
    case Colour::strong:
      return "\033[1m";
  }
  return "";
}

struct TableDeleter {
  void operator()(libscols_table* table) const { scols_unref_table(table); }
};

}  // namespace

void write_text(std::string_view text, FILE* stream) {
  std::fwrite(text.data(), 1, text.size(), stream);
}

std::string paint(std::string_view text, Colour colour, FILE* stream) {
  if (colour == Colour::none || !wants_colour(stream)) return std::string(text);
  return fmt::format("{}{}\033[0m", sequence(colour), text);
}

std::string TextTable::text(FILE* stream) const {
  if (rows_.empty()) return "";
  const std::unique_ptr<libscols_table, TableDeleter> table(scols_new_table());
  if (!table) return "no memory for a table\n";
  scols_table_set_column_separator(table.get(), "  ");
  scols_table_enable_colors(table.get(), wants_colour(stream));
  // A line is never cut to the terminal's width: what is missing then is what matters.
  scols_table_set_termforce(table.get(), SCOLS_TERMFORCE_NEVER);
  for (const auto& [name, is_number] : columns_) {
    scols_table_new_column(table.get(), name.c_str(), 0, is_number ? SCOLS_FL_RIGHT : 0);
  }
  for (const auto& row : rows_) {
    auto* line = scols_table_new_line(table.get(), nullptr);
    for (std::size_t i = 0; i < row.size(); ++i) {
      scols_line_set_data(line, i, row[i].text.c_str());
      if (row[i].colour != Colour::none) {
        scols_cell_set_color(scols_line_get_cell(line, i), sequence(row[i].colour));
      }
    }
  }
  char* printed = nullptr;
  if (scols_print_table_to_string(table.get(), &printed) != 0) return "no memory for a table\n";
  const std::unique_ptr<char, decltype(&std::free)> owned(printed, &std::free);
  std::string text(printed);
  if (!text.ends_with('\n')) text += '\n';
  return text;
}

void TextTable::print(FILE* stream) const { write_text(text(stream), stream); }

std::string or_dash(const std::string& text) { return text.empty() ? "-" : text; }
std::string or_dash(std::uint16_t number) { return number == 0 ? "-" : fmt::format("{}", number); }

void print_json(const Json& document) { write_text(dump(document), stdout); }

void print_json_line(const Json& document) { print_line(json_text(document)); }

void print_line(std::string_view text) { write_text(fmt::format("{}\n", text), stdout); }

void tell(std::string_view text, Colour colour) {
  std::fflush(stdout);
  write_text(paint(printable(text), colour, stderr) + "\n", stderr);
}

void print_some_faults(const Faults& faults, FILE* stream) {
  const auto shown = some_faults(faults);
  const auto rest = count_faults(faults) - shown.size();
  print_faults(shown, stream);
  if (rest > 0) write_text(fmt::format("and {} more: moat check shows them\n", rest), stream);
}

void print_faults(const Faults& faults, FILE* stream) {
  for (const auto& fault : faults) {
    const bool is_error = fault.severity == Severity::error;
    write_text(paint(format_fault(fault), is_error ? Colour::bad : Colour::doubtful, stream) + "\n",
               stream);
  }
}

Exit fail(const Cli& cli, const CommandError& failure) {
  const auto& refusal = failure.refusal;
  if (cli.json) print_json(document({{"error", encode(refusal)}}));
  std::fflush(stdout);
  print_faults(refusal.faults, stderr);
  tell("moat: " + refusal.message, Colour::bad);
  if (!refusal.remedy.empty()) tell("      " + refusal.remedy);
  return failure.exit;
}

std::string format_peer(const SessionView& session) {
  const bool is_ipv6 = session.peer.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", is_ipv6 ? "[" : "", session.peer, is_ipv6 ? "]" : "",
                     session.peer_port);
}

std::string plural(std::size_t count, std::string_view singular) {
  return fmt::format("{} {}{}", count, singular, count == 1 ? "" : "s");
}

std::string ago(const std::optional<std::chrono::system_clock::time_point>& time) {
  return time ? format_age(*time) + " ago" : "-";
}

std::string format_age(std::chrono::system_clock::time_point time) {
  return format_age(std::chrono::system_clock::now() - time);
}

std::string format_duration(Milliseconds duration) {
  const auto ms = duration.count();
  if (ms < 1000) return fmt::format("{:.{}f} ms", ms, ms < 1 ? 1 : 0);
  const auto seconds = ms / 1000;
  const bool is_whole = std::abs(seconds - std::round(seconds)) < 0.05;
  return fmt::format("{:.{}f} s", seconds, is_whole ? 0 : 1);
}

std::string format_number(std::uint64_t number) {
  auto digits = fmt::format("{}", number);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  }
  return digits;
}

std::string format_bytes(std::uint64_t bytes) {
  constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < units.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", value, unit == 0 || value >= 100 ? 0 : 1, units[unit]);
}

}  // namespace moat
