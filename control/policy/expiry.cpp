// SPDX-License-Identifier: BSD-2-Clause
#include "control/policy/expiry.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "control/text/digit.h"

namespace moat {
namespace {

using namespace std::chrono_literals;

constexpr auto all_forms =
    "write a length from now (30m, 12h, 7d), a day (2027-01-31, 0:00 UTC) or a time "
    "(2027-01-31T18:00:00Z, 2027-01-31T19:00:00+01:00)";

// Zero for what is no unit.
std::chrono::seconds length_of(char unit) {
  switch (unit) {
    case 's':
      return 1s;
    case 'm':
      return 1min;
    case 'h':
      return 1h;
    case 'd':
      return std::chrono::days(1);
    case 'w':
      return std::chrono::weeks(1);
    default:
      return 0s;
  }
}

// "+01:00": how far the time before it is ahead of UTC.
std::optional<std::chrono::minutes> parse_offset(std::string_view text) {
  if (text.size() != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':') return std::nullopt;
  for (const auto at : {1, 2, 4, 5}) {
    if (!is_digit(text[static_cast<std::size_t>(at)])) return std::nullopt;
  }
  const int hours = (text[1] - '0') * 10 + (text[2] - '0');
  const int minutes = (text[4] - '0') * 10 + (text[5] - '0');
  if (hours > 23 || minutes > 59) return std::nullopt;
  const auto offset = hours * 1h + minutes * 1min;
  return text[0] == '-' ? -offset : offset;
}

// A day or a time of one of all_forms.
std::expected<WallTime, Error> read_time(const std::string& text) {
  constexpr std::size_t day = 10;   // 2027-01-31
  constexpr std::size_t time = 19;  // 2027-01-31T18:00:00
  const bool is_date = text.size() >= day && text[4] == '-' && text[7] == '-';
  if (!is_date) return std::unexpected(Error{"not a time", all_forms});
  if (text.size() == day) return parse_time(text + "T00:00:00Z");
  if (const auto offset =
          parse_offset(std::string_view(text).substr(std::min(time, text.size())))) {
    const auto local = parse_time(text.substr(0, time) + "Z");
    if (!local) return local;
    return *local - *offset;
  }
  auto utc = parse_time(text);
  if (!utc && utc.error().message == "not a time") utc.error().remedy = all_forms;
  return utc;
}

// Nothing: not a number and a unit. Zero: a number that is out of reach.
std::optional<std::chrono::seconds> read_length(const std::string& text) {
  constexpr std::int64_t max = 100'000'000;  // some three years in seconds, far ahead in others
  std::int64_t amount = 0;
  const auto* end = text.data() + text.size();
  const auto [unit, error] = std::from_chars(text.data(), end, amount);
  const auto length = end - unit == 1 ? length_of(*unit) : 0s;
  if (error != std::errc{} || length == 0s) return std::nullopt;
  return amount < 1 || amount > max ? 0s : amount * length;
}

std::expected<WallTime, Error> read_expiry(const std::string& text, WallTime now) {
  const auto length = read_length(text);
  if (!length) return read_time(text);
  if (*length == 0s) return std::unexpected(Error{"not a length of time", all_forms});
  return now + *length;
}

}  // namespace

std::expected<std::chrono::seconds, Error> parse_length(const std::string& text) {
  const auto length = read_length(text);
  if (length && *length != 0s) return *length;
  return std::unexpected(Error{"not a length of time", "write it as in 30m, 12h, 30d or 4w"});
}

std::expected<WallTime, Error> parse_since(const std::string& text, WallTime now) {
  const auto length = read_length(text);
  if (length && *length != 0s) return now - *length;
  auto time = read_time(text);
  if (!time && time.error().remedy == all_forms)
    time.error().remedy =
        "write a length back from now (30m, 12h, 7d), a day (2027-01-31, 0:00 UTC) or a time "
        "(2027-01-31T18:00:00Z, 2027-01-31T19:00:00+01:00)";
  if (time && *time > now)
    return std::unexpected(Error{"is still to come", "name a time that has been, or 30m, 12h, 7d"});
  return time;
}

std::expected<WallTime, Error> parse_expiry(const std::string& text, WallTime now) {
  const auto time = read_expiry(text, now);
  if (!time) return time;
  if (*time <= now) {
    return std::unexpected(Error{"has expired already", "name a time to come, or 30m, 12h, 7d"});
  }
  // Beyond the year 9999 a time cannot be written.
  if (*time >= std::chrono::sys_days(std::chrono::year(10000) / 1 / 1)) {
    return std::unexpected(Error{"too far ahead", "leave it out for a rule without end"});
  }
  return time;
}

}  // namespace moat
