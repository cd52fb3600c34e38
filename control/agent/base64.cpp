// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/base64.h"

#include <cstdint>

namespace moat {
namespace {

constexpr std::string_view digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string to_base64(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto at = [&](std::size_t k) -> std::uint32_t {
      return i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0;
    };
    const auto group = at(0) << 16 | at(1) << 8 | at(2);
    const auto left = bytes.size() - i;
    text += digits[group >> 18];
    text += digits[group >> 12 & 63];
    text += left > 1 ? digits[group >> 6 & 63] : '=';
    text += left > 2 ? digits[group & 63] : '=';
  }
  return text;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  while (!text.empty()) {
    const auto padding = text.size() > 4        ? 0U
                         : text.ends_with("==") ? 2U
                         : text.ends_with('=')  ? 1U
                                                : 0U;
    std::uint32_t group = 0;
    for (unsigned i = 0; i < 4; ++i) {
      const auto digit = i < 4 - padding ? digits.find(text[i]) : 0;
      if (digit == std::string_view::npos) return std::nullopt;
      group = group << 6 | static_cast<std::uint32_t>(digit);
    }
    for (unsigned i = 0; i < 3 - padding; ++i)
      bytes += static_cast<char>(group >> (16 - 8 * i) & 255);
    text.remove_prefix(4);
  }
  return bytes;
}

}  // namespace moat
