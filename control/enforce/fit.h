// SPDX-License-Identifier: BSD-2-Clause
// A limit that no single file can be held to: how many different sets of rules one table can tell
// apart. Managed ranges that overlap multiply them, and how many there are is known only once the
// whole policy is compiled.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "control/files/rule_files.h"
#include "control/resolve/hold_down.h"
#include "control/resolve/resolution.h"
#include "dataplane/error.h"

namespace moat {

// Whether a table can hold the policy as of `now`, without the rules that have expired by then: the
// errors of compile(), which this costs.
[[nodiscard]] Result<> check_fit(const Policy& policy, WallTime now);

// What resolve() is asked. All must outlive this.
struct ResolveInput {
  const RuleFiles& files;
  Mode mode;
  const EnforcedState* last;
  const std::set<std::string>& forgotten;
  ResolveTime time = {};
  RangeUpdates updates = {};
};

// Of a resolution that is too much for a table: the same without what managed ranges hold down, if
// that fits. Else another one, in which files are held back until the rest fits. Files are let in
// by the time of their latest change, so that what was there before stays and the change that made
// it too much is held back; at a first start managed ranges before databases. Nothing: it fits as
// it is, or not even what was enforced last does. Compiles some log2(files) times for each file
// that is held back.
[[nodiscard]] std::optional<Resolution> hold_back_to_fit(const ResolveInput& input,
                                                         const Resolution& resolution);

// resolve(), with files held back where all of them together are too much.
[[nodiscard]] Resolution resolve_to_fit(const ResolveInput& input);

[[nodiscard]] Resolution resolve(const ResolveInput& input,
                                 const std::map<std::string, Fault>& held = {});

}  // namespace moat
