// SPDX-License-Identifier: BSD-2-Clause
// Edits a database file as text, so that comments, order and layout stay as their author left them.
// Pure: bytes in, bytes out. The caller validates the result with read_database before writing it.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "control/files/reading.h"
#include "control/policy/policy.h"

namespace moat {

// `bytes` must read without errors (else the faults' first is returned as the error). The new rule
// goes after the last one, indented and styled as its neighbours; a file without rules, or with
// `rules: []`, gets a block list. Text is quoted where YAML needs it.
[[nodiscard]] std::expected<std::string, TextError> add_rule(std::string_view bytes,
                                                             const Rule& rule);

// Takes out the rule with this id (written or derived), and the comment lines that belong to it
// alone. Removing the last rule leaves `rules: []`: nobody, never "no rules key".
[[nodiscard]] std::expected<std::string, TextError> remove_rule(std::string_view bytes,
                                                                std::string_view rule_id);

// The same for net peerings; removing the last one removes the key.
[[nodiscard]] std::expected<std::string, TextError> add_peering(std::string_view bytes,
                                                                const NetPeering& peering);
[[nodiscard]] std::expected<std::string, TextError> remove_peering(std::string_view bytes,
                                                                   std::string_view peering_id);

// Sets or replaces the top-level `mode:` line.
[[nodiscard]] std::expected<std::string, TextError> set_mode(std::string_view bytes, Mode mode);

}  // namespace moat
