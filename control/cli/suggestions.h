// SPDX-License-Identifier: BSD-2-Clause
// From recent drops to rules that would have let them in. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "control/policy/policy.h"
#include "control/service/service.h"

namespace moat {

// A net peering or a managed range that no rule of the database names yet.
struct NamedNetwork {
  SourceKind kind = SourceKind::net_peering;
  std::string id;
  Prefixes cidrs;
};

struct Suggestion {
  Prefix cidr;
  const NamedNetwork* network = nullptr;  // in the place of `cidr`
  std::size_t sources = 0;
  std::uint64_t packets = 0;
  std::chrono::system_clock::time_point first;
  std::chrono::system_clock::time_point last;
  bool monitored = false;  // all of them passed
};

struct Suggestions {
  std::vector<Suggestion> suggestions;          // the most packets first
  std::map<std::string, std::size_t> left_out;  // sources, by why
};

// At most `room` of them. Sources in one of `networks` are suggested by it: by the first that holds
// them, if it has no more than 2^24 addresses and none that is expected to be denied. Of the others
// those of one /24 are one network where that names at most 4 times as many addresses as were seen,
// and there are 3 or more; the network is the smallest that holds them, and never wider than the
// /24. `is_allowed`: whether a source is let in by now; asked no more than once for each source.
[[nodiscard]] Suggestions suggest_rules(const std::vector<DropView>& drops,
                                        const DatabaseView& database,
                                        const std::vector<NamedNetwork>& networks, std::size_t room,
                                        const std::function<bool(Address)>& is_allowed);

// Of a list that has more CIDRs than this nobody asks whom it holds.
inline constexpr std::size_t kMaxNetworkCidrs = 20'000;

}  // namespace moat
