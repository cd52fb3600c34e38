// SPDX-License-Identifier: BSD-2-Clause
#include "control/text/utf8.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace moat {
namespace {}  // namespace

Character decode_character(std::string_view text, std::size_t at) {
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

bool is_control(char32_t code) {
  return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x2028 || code == 0x2029 ||
         code == 0x061c || code == 0x200e || code == 0x200f || (code >= 0x202a && code <= 0x202e) ||
         (code >= 0x2066 && code <= 0x2069);
}

std::optional<std::size_t> find_control(std::string_view utf8) {
  for (std::size_t at = 0; at < utf8.size();) {
    const auto character = decode_character(utf8, at);
    if (character.bytes == 0 || is_control(character.code)) return at;
    at += character.bytes;
  }
  return std::nullopt;
}

std::string printable(std::string_view text) {
  std::string shown;
  shown.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const auto character = decode_character(text, at);
    const auto end = at + std::max<std::size_t>(character.bytes, 1);
    if (character.bytes != 0 && !is_control(character.code)) {
      shown += text.substr(at, character.bytes);
    } else {
      for (; at < end; at++) shown += fmt::format("\\x{:02x}", byte_at(text, at));
    }
    at = end;
  }
  return shown;
}

std::string shorten(std::string_view utf8, std::size_t most) {
  if (utf8.size() <= most) return std::string(utf8);
  while (most > 0 && (byte_at(utf8, most) & 0xc0) == 0x80) --most;
  return std::string(utf8.substr(0, most)) + "...";
}

}  // namespace moat
