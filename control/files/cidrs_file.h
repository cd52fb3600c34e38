// SPDX-License-Identifier: BSD-2-Clause
// Large lists of networks: one CIDR a line, comments from # to the end of the line, empty lines.
#pragma once

#include <cstddef>
#include <string_view>

#include "control/policy/policy.h"
#include "control/text/fault_log.h"

namespace moat {

// The CIDRs in file order. What is wrong goes to `log`, which must be that file's; more than `most`
// CIDRs are one fault, at the first that is too many, and are not kept.
[[nodiscard]] Prefixes read_cidrs_file(std::string_view bytes, std::size_t most, FaultLog& log);

}  // namespace moat
