// SPDX-License-Identifier: BSD-2-Clause
// Lists of networks as providers publish them: what a list says, entry by entry, of what was asked
// for. Strict: a list with an entry that is no network is refused as a whole, and so is one in
// which nothing is selected. IPv6 is passed over and counted.
//
// JSON is read as it comes, without a tree of it; what is kept is the selected prefixes alone.
#pragma once

#include <string_view>

#include "control/agent/list_format.h"

namespace moat {

// The error says where, and what was there.
[[nodiscard]] Result<ParsedList> parse_list(ListFormat format, std::string_view bytes,
                                            const Selection& selection);

}  // namespace moat
