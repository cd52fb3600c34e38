// SPDX-License-Identifier: BSD-2-Clause
// Base64 of RFC 4648 with padding, as etcd's gateway writes keys and values.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace moat {

[[nodiscard]] std::string to_base64(std::string_view bytes);
// Nothing: it is none.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

}  // namespace moat
