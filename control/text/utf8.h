// SPDX-License-Identifier: BSD-2-Clause
// UTF-8, character by character.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace moat {

[[nodiscard]] inline std::uint8_t byte_at(std::string_view text, std::size_t at) {
  return static_cast<std::uint8_t>(text[at]);
}

struct Character {
  char32_t code = 0;
  std::size_t bytes = 0;  // 0: not UTF-8
};

// The character at `at`, by RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
[[nodiscard]] Character decode_character(std::string_view text, std::size_t at);

// What a one-line text must not have: C0, DEL and C1 controls, line and paragraph separators, and
// what reorders the text around it.
[[nodiscard]] bool is_control(char32_t code);

// Where valid UTF-8 has its first such character.
[[nodiscard]] std::optional<std::size_t> find_control(std::string_view utf8);

// `text` on one line that does nothing to a terminal or a log: of such characters, and of what is
// no UTF-8, each byte as \xNN.
[[nodiscard]] std::string printable(std::string_view text);

// At most `most` bytes of `utf8`, cut between characters, with "..." where something was cut.
[[nodiscard]] std::string shorten(std::string_view utf8, std::size_t most);

}  // namespace moat
