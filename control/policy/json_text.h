// SPDX-License-Identifier: BSD-2-Clause
// JSON from text and back. What nlohmann has for it is large, and compiled here alone.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace moat {

// In one line, or indented by so many spaces. Bytes that are no UTF-8 become U+FFFD.
[[nodiscard]] std::string json_text(const nlohmann::json& json, int indent = -1);
[[nodiscard]] std::string json_text(const nlohmann::ordered_json& json, int indent = -1);

// Discarded (is_discarded()) if it is no JSON.
[[nodiscard]] nlohmann::json read_json(std::string_view text);

}  // namespace moat
