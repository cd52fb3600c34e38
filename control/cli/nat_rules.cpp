// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/nat_rules.h"

#include <algorithm>
#include <set>

namespace moat {
namespace {

// Ranges that both lists have.
template <typename Range>
std::vector<Range> overlaps(const std::vector<Range>& a, const std::vector<Range>& b) {
  std::vector<Range> common;
  for (const auto& left : a) {
    for (const auto& right : b) {
      const auto first = std::max(left.first, right.first);
      const auto last = std::min(left.last, right.last);
      if (first <= last) common.push_back({first, last});
    }
  }
  return common;
}

// Walks the chains from a base chain on. Chains that lead to themselves are cut, as the kernel
// takes none, and a ruleset of more ways than anybody writes is not walked to its end.
class Walk {
 public:
  explicit Walk(const NatRuleset& ruleset) : ruleset_(ruleset) {}

  void follow(const std::string& chain, const NatPackets& packets) {
    const auto entry = ruleset_.chains.find(chain);
    if (entry == ruleset_.chains.end() || !above_.insert(chain).second) return;
    for (const auto& step : entry->second) {
      if (steps_left_ == 0) break;
      steps_left_--;
      const auto here = both(packets, step.packets);
      if (here.is_empty()) continue;
      if (step.rule) add(*step.rule, here);
      if (!step.jump.empty()) follow(step.jump, here);
    }
    above_.erase(chain);
  }

  [[nodiscard]] std::vector<NatRule> take() { return std::move(rules_); }

 private:
  void add(NatRule rule, const NatPackets& packets) {
    rule.packets = packets;
    rules_.push_back(std::move(rule));
  }

  const NatRuleset& ruleset_;
  std::set<std::string> above_;
  std::size_t steps_left_ = 1'000'000;
  std::vector<NatRule> rules_;
};

}  // namespace

NatPackets both(const NatPackets& a, const NatPackets& b) {
  return {a.tcp && b.tcp, overlaps(a.ports, b.ports), overlaps(a.destinations, b.destinations),
          a.ports_are_known && b.ports_are_known};
}

std::vector<PortRange> all_but(const std::vector<PortRange>& ports) {
  std::vector<PortRange> rest{{0, 65535}};
  for (const auto [first, last] : ports) {
    std::vector<PortRange> outside;
    if (first > 0) outside.push_back({0, static_cast<std::uint16_t>(first - 1)});
    if (last < 65535) outside.push_back({static_cast<std::uint16_t>(last + 1), 65535});
    rest = overlaps(rest, outside);
  }
  return rest;
}

std::vector<NatRule> flatten(const NatRuleset& ruleset) {
  Walk walk(ruleset);
  for (const auto& chain : ruleset.prerouting) walk.follow(chain, {});
  for (const auto& chain : ruleset.postrouting) walk.follow(chain, {});
  return walk.take();
}

}  // namespace moat
