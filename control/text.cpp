// SPDX-License-Identifier: BSD-2-Clause
#include "control/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace moat {
namespace {

constexpr std::string_view bom = "\xef\xbb\xbf";

std::uint8_t byte_at(std::string_view text, std::size_t at) {
  return static_cast<std::uint8_t>(text[at]);
}

struct Character {
  char32_t code = 0;
  std::size_t bytes = 0;  // 0: not UTF-8
};

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
Character decode(std::string_view text, std::size_t at) {
  const auto lead = byte_at(text, at);
  if (lead < 0x80) return {lead, 1};
  const std::size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || at + bytes > text.size()) return {};
  char32_t code = lead & (0x7fu >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    const auto next = byte_at(text, at + i);
    if ((next & 0xc0) != 0x80) return {};
    code = code << 6 | (next & 0x3fu);
  }
  constexpr char32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
  if (code < least[bytes] || is_surrogate || code > 0x10ffff) return {};
  return {code, bytes};
}

// Eight bytes that hold neither a control character, DEL nor anything but ASCII. Most files are
// nothing but such bytes and line ends.
bool are_plain_ascii(const char* bytes) {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof word);
  constexpr std::uint64_t ones = 0x0101010101010101;
  constexpr std::uint64_t tops = ones << 7;
  const auto below_space = (word - ones * 0x20) & ~word;
  const auto del = word ^ ones * 0x7f;
  const auto is_del = (del - ones) & ~del;
  return ((word | below_space | is_del) & tops) == 0;
}

bool is_control(char32_t code) {
  return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x2028 || code == 0x2029 ||
         code == 0x061c || code == 0x200e || code == 0x200f || (code >= 0x202a && code <= 0x202e) ||
         (code >= 0x2066 && code <= 0x2069);
}

class Checker {
 public:
  Checker(std::string_view bytes, Text& text, FaultLog& log)
      : bytes_(bytes), text_(text), log_(log) {}

  // Ends at a fault after which the rest cannot be meant as text.
  bool run() {
    for (std::size_t at = 0; at < bytes_.size();) {
      if (at + 8 <= bytes_.size() && are_plain_ascii(bytes_.data() + at)) {
        at += 8;
      } else if (bytes_[at] == '\n') {
        ++line_;
        line_start_ = ++at;
      } else {
        const auto step = check_character(at);
        if (step == 0) return false;
        at += step;
      }
    }
    return true;
  }

 private:
  Spot spot(std::size_t at) const {
    const auto skipped = line_ == 1 ? text_.skipped : 0;
    return {line_, static_cast<unsigned>(at - line_start_) + 1 + skipped};
  }

  // How many bytes to go on by; 0 to stop.
  std::size_t check_character(std::size_t at) {
    const auto character = decode(bytes_, at);
    if (character.bytes == 0) {
      report(not_utf8_, at, "not UTF-8", "save the file as UTF-8");
      replace(at, 1);
      return 1;
    }
    const auto code = character.code;
    if (code == 0) {
      log_.error(spot(at), "there is a NUL byte", {}, "the file is damaged, or not UTF-8");
      return 0;
    }
    if (code == '\r') {
      if (at + 1 < bytes_.size() && bytes_[at + 1] == '\n') return 1;
      log_.error(spot(at), "there is a carriage return within a line", {}, "end lines with \\n");
      return 0;
    }
    if (code != '\t' && (code < 0x20 || (code >= 0x7f && code <= 0x9f && code != 0x85))) {
      report(control_, at, "there is a control character", "take it out");
      replace(at, character.bytes);
    }
    return character.bytes;
  }

  void report(bool& is_known, std::size_t at, std::string message, std::string remedy) {
    if (is_known) return;
    is_known = true;
    log_.error(spot(at), std::move(message), fmt::format("byte 0x{:02x}", byte_at(bytes_, at)),
               std::move(remedy));
  }

  void replace(std::size_t at, std::size_t count) {
    if (text_.replaced.empty()) text_.replaced = bytes_;
    text_.replaced.replace(at, count, count, '?');
  }

  std::string_view bytes_;
  Text& text_;
  FaultLog& log_;
  unsigned line_ = 1;
  std::size_t line_start_ = 0;
  bool not_utf8_ = false;
  bool control_ = false;
};

}  // namespace

Text check_text(std::string_view bytes, std::size_t limit, FaultLog& log) {
  Text text;
  if (bytes.size() > limit) {
    log.error({}, fmt::format("the file has more than {} MiB", limit >> 20),
              fmt::format("{} bytes", bytes.size()), "split it");
    return text;
  }
  if (bytes.starts_with(bom)) {
    log.error({1, 1}, "there is a byte order mark", {}, "save the file as UTF-8 without BOM");
    bytes.remove_prefix(bom.size());
    text.skipped = bom.size();
  }
  text.is_readable = Checker(bytes, text, log).run();
  text.bytes = text.replaced.empty() ? bytes : std::string_view(text.replaced);
  return text;
}

std::optional<std::size_t> find_control(std::string_view utf8) {
  for (std::size_t at = 0; at < utf8.size();) {
    const auto character = decode(utf8, at);
    if (character.bytes == 0 || is_control(character.code)) return at;
    at += character.bytes;
  }
  return std::nullopt;
}

std::string shorten(std::string_view utf8, std::size_t most) {
  if (utf8.size() <= most) return std::string(utf8);
  while (most > 0 && (byte_at(utf8, most) & 0xc0) == 0x80) --most;
  return std::string(utf8.substr(0, most)) + "...";
}

}  // namespace moat
