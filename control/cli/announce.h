// SPDX-License-Identifier: BSD-2-Clause
// What a change would do to others is told before it is made, and asked where somebody can be.
#pragma once

#include <expected>
#include <string_view>

#include "control/cli/client.h"

namespace moat {

enum class Asks { where_due, always };

// Tells on stderr whose sessions would end and what would open.
void tell_effects(const PreviewView& preview);

// Tells the same, and asks about it. Where nobody can
// be asked, the change goes on unless it needs a word: see PreviewView::needs_yes. Error: it is not
// to be made. `always`: asked though it does neither; `meaning` says of what: "apply makes these
// files the host's".
[[nodiscard]] std::expected<void, CommandError> announce(const PreviewView& preview, Asks asks,
                                                         std::string_view meaning);

}  // namespace moat
