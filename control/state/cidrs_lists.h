// SPDX-License-Identifier: BSD-2-Clause
// The CIDRs of all managed ranges as one file of Moat's own: 5 bytes each, so that a million are
// written and read in a moment, and thousands of short lists cost one write.
//
//   "MOATCIDR" | number of lists (4)
//   | of each list: its digest (16, as cidrs_digest() gives it), number of CIDRs (4)
//   | FNV-1a of all that (8)
//   | of each list, of each CIDR: address (4), prefix length (1)
//
// Numbers and addresses begin with the most significant byte. What is damaged behind the first
// check costs the lists that it is in, and no other.
#pragma once

#include <expected>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "control/policy/policy.h"

namespace moat {

// By cidrs_digest().
using CidrsLists = std::map<std::string, std::shared_ptr<const Prefixes>>;

[[nodiscard]] std::string format_cidrs_lists(const CidrsLists& lists);

// Errors of the whole: not such a file, its head is damaged; of a list: it is cut off, or is not
// what its digest says.
using ReadCidrs = std::expected<Prefixes, std::string>;
[[nodiscard]] std::expected<std::map<std::string, ReadCidrs>, std::string> parse_cidrs_lists(
    std::string_view bytes);

}  // namespace moat
