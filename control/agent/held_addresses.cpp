// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/held_addresses.h"

#include <algorithm>

namespace moat {

void HeldAddresses::add(const std::vector<Address>& addresses, Time now) {
  for (const auto address : addresses) last_seen_[address] = now;
  // Also one that was seen in what is now the future, where the clock was set back.
  std::erase_if(last_seen_, [&](const auto& entry) {
    return now - entry.second > hold_ || entry.second - now > hold_;
  });
  while (last_seen_.size() > max_addresses) {
    last_seen_.erase(
        std::ranges::min_element(last_seen_, {}, [](const auto& entry) { return entry.second; }));
  }
}

Prefixes HeldAddresses::prefixes() const {
  Prefixes prefixes;
  for (const auto& [address, seen] : last_seen_) prefixes.push_back({address, 32});
  return prefixes;
}

}  // namespace moat
