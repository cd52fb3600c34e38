// SPDX-License-Identifier: BSD-2-Clause
// The source side of a table: which class an address is of. bpf/lookup.h says how that is read.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "bpf/abi.h"
#include "dataplane/table/table_input.h"

namespace moat {

struct Sources {
  unsigned top_bits = MOAT_MIN_TOP_BITS;
  std::vector<std::uint64_t> tops;
  std::vector<std::uint64_t> trees;  // pairs of words
  std::vector<moat_leaf> leaves;
};

using Ranges = std::span<const TableInput::Range>;
[[nodiscard]] Sources place_sources(Ranges all);

}  // namespace moat
