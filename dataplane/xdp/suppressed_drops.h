// SPDX-License-Identifier: BSD-2-Clause
// The kernel's account of drops that no event has told of yet.
#pragma once

#include "dataplane/error.h"
#include "dataplane/suppressed_drops.h"

namespace moat {

// `map` is drop_sources of bpf/drop_events.h.
[[nodiscard]] Result<SuppressedDrops> read_suppressed_drops(int map);

// For a new reader, to whom what came before it is not to be told as if it came now.
[[nodiscard]] Result<> forget_suppressed_drops(int map);

}  // namespace moat
