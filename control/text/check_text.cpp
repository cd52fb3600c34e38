// SPDX-License-Identifier: BSD-2-Clause
#include "control/text/check_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "control/text/utf8.h"

namespace moat {
namespace {

constexpr std::string_view bom = "\xef\xbb\xbf";

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
    const auto character = decode_character(bytes_, at);
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

}  // namespace moat
