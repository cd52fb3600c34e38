// SPDX-License-Identifier: BSD-2-Clause
// The limit on prefixes in one generation. A managed range counts once, however many rules name it,
// and not at all where none does.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "control/policy/policy.h"
#include "control/resolve/ranges.h"
#include "control/resolve/resolution.h"

namespace moat {

// Too many, and whose change brought most of them in.
struct PrefixOverrun {
  std::size_t prefixes = 0;               // in all
  std::size_t growth = 0;                 // of these through `file`, since what was enforced last
  std::string file;                       // of a database or of managed ranges
  const ManagedRange* largest = nullptr;  // of those that are named; none: no rule names any
};

// Those of the databases to be enforced and of the managed ranges that they name.
[[nodiscard]] std::size_t count_prefixes(
    const std::map<std::string_view, const Database*>& in_force, const ResolvedRanges& supply);

// `in_force`: the databases to be enforced. Nothing where they keep to the limit.
[[nodiscard]] std::optional<PrefixOverrun> find_overrun(
    const std::map<std::string_view, const Database*>& in_force, const ResolvedRanges& supply,
    const EnforcedState* last);

}  // namespace moat
