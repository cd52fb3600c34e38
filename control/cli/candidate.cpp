// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/candidate.h"

#include <algorithm>
#include <iterator>

#include "control/cli/output.h"

namespace moat {

ClientResult<LoadedRules> load_candidate(const std::string& folder) {
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  auto rules = load_rules(folder, {now, nullptr, false});
  if (rules.has_error()) {
    CommandError failure{Exit::refused,
                         {Refusal::Kind::invalid,
                          "the files have errors, and would not be enforced",
                          "mend them first: see moat check",
                          {}}};
    for (auto& file : rules.files) {
      if (has_error(file.faults)) {
        std::ranges::move(file.faults, std::back_inserter(failure.refusal.faults));
      }
    }
    return std::unexpected(std::move(failure));
  }
  if (rules.is_without_config) tell(without_config, Colour::doubtful);
  return rules;
}

}  // namespace moat
