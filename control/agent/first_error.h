// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <algorithm>

#include "control/text/fault.h"
#include "dataplane/error.h"

namespace moat {

// The first of the faults that is an error; there must be one.
[[nodiscard]] inline Error first_error(const Faults& faults) {
  return {format_fault(*std::ranges::find(faults, Severity::error, &Fault::severity)), ""};
}

}  // namespace moat
