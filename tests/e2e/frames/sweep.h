// SPDX-License-Identifier: BSD-2-Clause
// All that a number in front of a packet can be, rather than those that somebody thought of.
#pragma once

#include <cstdint>

#include "dataplane/error.h"
#include "tests/e2e/frames/wire.h"

namespace moat::testing {

struct Swept {
  std::uint64_t frames = 0;
  std::uint64_t segments = 0;  // that the host's TCP was handed for them
  std::uint64_t answers = 0;   // TCP that it said
};

// `syn4` and `syn6`: frames without tags. Sent with every EtherType, the first of them also with
// four bytes more like a tag's, and with every protocol number.
[[nodiscard]] Result<Swept> sweep(Wire& wire, Bytes syn4, Bytes syn6);

}  // namespace moat::testing
