// SPDX-License-Identifier: BSD-2-Clause
// The addresses of a name over time. A server that tells some of many in turn (round robin) shall
// not make clients come and go: an address stays for a while after the last answer that has it.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <vector>

#include "control/policy/policy.h"

namespace moat {

class HeldAddresses {
 public:
  using Time = std::chrono::system_clock::time_point;

  static constexpr std::size_t max_addresses = 64;

  explicit HeldAddresses(std::chrono::seconds hold) : hold_(hold) {}

  // An answer, or what an earlier life has left. Beyond the most that are kept, those go that no
  // answer has had for the longest time.
  void add(const std::vector<Address>& addresses, Time now);

  // Each as a /32, ascending. Those whose time is over go, but never because no answer comes: time
  // passes by add().
  [[nodiscard]] Prefixes prefixes() const;

 private:
  std::chrono::seconds hold_;
  std::map<Address, Time> last_seen_;
};

}  // namespace moat
