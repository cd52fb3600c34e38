// SPDX-License-Identifier: BSD-2-Clause
// read_managed_ranges on any bytes; behind the first NUL stands the cidrs-file that they may name.
#include <set>

#include "control/files/reading.h"
#include "control/text/input_limits.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/require.h"

void moat::testing::fuzz(std::string_view all) {
  const std::string_view bytes = all.substr(0, all.find('\0'));
  const std::string list(bytes.size() < all.size() ? all.substr(bytes.size() + 1) : "");
  const auto open = [&list](const std::string& path,
                            std::size_t) -> std::expected<std::string, std::string> {
    if (path.ends_with("missing")) return std::unexpected("No such file or directory");
    return list;
  };
  const auto reading = read_managed_ranges("ranges.yaml", bytes, open);
  testing::require_sound(reading.faults, reading.value.has_value(), all);
  if (!reading.value) return;
  std::set<std::string> ids;
  for (const ManagedRange& range : *reading.value) {
    testing::require(!range.id.empty() && ids.insert(range.id).second, "ids, each once", range.id);
    testing::require(range.cidrs != nullptr, "CIDRs, though there may be none", range.id);
    testing::require(!find_control(range.name), "a name of one line");
    for (const Prefix prefix : *range.cidrs)
      testing::require(prefix == Prefix::of(prefix.address, prefix.length), "no host bits");
  }
}
