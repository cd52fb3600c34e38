// SPDX-License-Identifier: BSD-2-Clause
// The half of resolve() that is about managed ranges: which ones there are, and whose CIDRs count.
//
//   in a file that holds                       -> as that file says
//   last from a file that is held back         -> as last enforced
//   in no file any more, named by a rule then  -> as last enforced, if a rule still names it
//
// The file of a range that rules name and that changes too much at once is held back: see
// hold_down.h.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "control/files/rule_files.h"
#include "control/resolve/hold_down.h"
#include "control/resolve/resolution.h"

namespace moat {

struct ResolvedRanges {
  std::map<std::string, ManagedRange, std::less<>> ranges;
  std::set<std::string> withdrawn;  // those of `ranges` that no file names; to be dropped if unused
  std::vector<FileStatus> files;    // of RuleFiles::ranges, in the same order
  Rivals rivals;
  HeldVersions held_versions;  // too large a change; the files are held back
};

// `held`: files to hold back although nothing is wrong with them alone, and why.
[[nodiscard]] ResolvedRanges resolve_ranges(const RuleFiles& files, const EnforcedState* last,
                                            const std::map<std::string, Fault>& held,
                                            const RangeUpdates& updates = {});

// The managed ranges that rules of these databases name.
[[nodiscard]] std::set<std::string, std::less<>> named_ranges(const Policy& policy);

}  // namespace moat
