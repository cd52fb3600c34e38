// SPDX-License-Identifier: BSD-2-Clause
// Edits a database file as text, so that comments, order and layout stay as their author left them.
// Pure: bytes in, bytes out, and both are read once.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "control/files/database_text.h"
#include "control/policy/policy.h"

namespace moat {

// What an edit made, which reads without errors.
using EditedText = std::expected<DatabaseText, Error>;

// `text` must read without errors (else the faults' first is returned as the error). The new rule
// goes after the last one, indented and styled as its neighbours; a file without rules, or with
// `rules: []`, gets a block list. Text is quoted where YAML needs it.
[[nodiscard]] EditedText add_rule(const DatabaseText& text, const Rule& rule);

// Takes out the rule with this id (written or derived), and the comment lines that belong to it
// alone. Removing the last rule leaves `rules: []`: nobody, never "no rules key".
[[nodiscard]] EditedText remove_rule(const DatabaseText& text, std::string_view rule_id);

// Gives the rule with this id another label or end, in its place; without a label, or an end, the
// key goes. Its id stays, as the source does.
[[nodiscard]] EditedText set_label(const DatabaseText& text, std::string_view rule_id,
                                   std::string_view label);
[[nodiscard]] EditedText set_expiry(const DatabaseText& text, std::string_view rule_id,
                                    std::optional<WallTime> expires);

// add_rule() and remove_rule() for net peerings; removing the last one removes the key.
[[nodiscard]] EditedText add_peering(const DatabaseText& text, const NetPeering& peering);
[[nodiscard]] EditedText remove_peering(const DatabaseText& text, std::string_view peering_id);

// Sets or replaces the top-level `mode:` line.
[[nodiscard]] EditedText set_mode(const DatabaseText& text, Mode mode);

}  // namespace moat
