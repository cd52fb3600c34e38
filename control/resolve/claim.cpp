// SPDX-License-Identifier: BSD-2-Clause
#include "control/resolve/claim.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "control/text/input_limits.h"

namespace moat {

LastDatabases::LastDatabases(const Enforced* last, const std::set<std::string>& forgotten) {
  if (last == nullptr) return;
  for (const auto& database : last->policy.databases) {
    if (database.is_placeholder || forgotten.contains(database.id)) continue;
    enforced.emplace(database.id, &database);
  }
  for (const auto& seal : last->seals) {
    if (!forgotten.contains(seal.base)) seals.push_back(&seal);
  }
  for (const auto& [path, id] : last->database_of_file) {
    if (!forgotten.contains(id)) of_file.emplace(path, id);
  }
}

bool LastDatabases::holds(std::string_view id) const {
  return enforced.contains(id) || std::ranges::find(seals, id, &Seal::base) != seals.end();
}

std::optional<Endpoint> DatabaseClaim::endpoint() const {
  const auto& reading = file->reading;
  return reading.value ? reading.value->endpoint : reading.endpoint;
}

void Claim::hold(Fault fault) {
  is_held = true;
  if (faults.size() >= limits::faults) return;
  const auto after = std::ranges::upper_bound(faults, fault, [](const Fault& a, const Fault& b) {
    return std::tie(a.place.line, a.place.column) < std::tie(b.place.line, b.place.column);
  });
  faults.insert(after, std::move(fault));
}

void hold_same_ids(std::string_view what, const IdClaims& claims) {
  for (const auto& [id, files] : claims) {
    if (files.size() == 1) continue;
    const auto keeper = std::ranges::find(files, true, &IdClaim::is_enforced);
    const bool is_kept = keeper != files.end();
    for (const auto& file : files) {
      if (file.is_enforced) continue;
      const auto& other = is_kept ? *keeper : files[&file == files.data() ? 1 : 0];
      file.claim->hold({Severity::error, file.place,
                        fmt::format("this {} is {} {}", what, is_kept ? "the one of" : "also in",
                                    other.place.file),
                        std::string(id),
                        "give it another id, or take it out of one of the two files"});
    }
  }
}

}  // namespace moat
