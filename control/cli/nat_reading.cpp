// SPDX-License-Identifier: BSD-2-Clause
// The NAT rules of this host: asks nft for all, and iptables where nft says that it does not show
// a rule whole, or where the kernel has tables of the older iptables, which nft does not know.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "control/cli/host_rules.h"
#include "control/cli/nat_rules.h"

namespace moat {
namespace {

// Chains and tables of those that filter for others, by a part of their names.
constexpr auto known_firewalls = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"ufw-user-input", "ufw"},
    {"inet firewalld ", "firewalld"},
    {" DOCKER", "Docker"},
});

class Reader {
 public:
  NatResult read() {
    if (::geteuid() != 0) {
      reading_.unread.emplace_back("NAT rules were not looked at: only root can read them");
      return std::move(reading_);
    }
    read_nft();
    if (has_legacy_table("ip", "nat")) read_iptables("iptables-legacy-save", false);
    if (has_legacy_table("ip6", "nat")) read_iptables("ip6tables-legacy-save", true);
    return std::move(reading_);
  }

 private:
  void read_nft() {
    const auto json = read_host_rules("nft", {"-j", "list", "ruleset"});
    if (!json) return tell(json.error().message);
    const auto ruleset = parse_nft_nat(*json);
    if (!ruleset) return tell(fmt::format("nft -j list ruleset: {}", ruleset.error()));
    take(*ruleset);
    name_firewalls(ruleset->chain_names);
    if (ruleset->has_iptables4) read_iptables("iptables-nft-save", false);
    if (ruleset->has_iptables6) read_iptables("ip6tables-nft-save", true);
  }

  void read_iptables(const std::string& program, bool ipv6) {
    const auto text = read_host_rules(program, {"-t", "nat"});
    if (!text) return tell(text.error().message);
    const auto ruleset = parse_iptables_nat(*text, ipv6);
    if (!ruleset) return tell(fmt::format("{}: {}", program, ruleset.error()));
    take(*ruleset);
  }

  void take(const NatRuleset& ruleset) {
    std::ranges::move(flatten(ruleset), std::back_inserter(reading_.rules));
    for (const auto& place : ruleset.unread) {
      reading_.unread.push_back(
          fmt::format("a NAT rule was not understood, see by hand where it leads: {}", place));
    }
  }

  void tell(const std::string& what) {
    reading_.unread.push_back(fmt::format("NAT rules were not looked at: {}", what));
  }

  void name_firewalls(const std::set<std::string>& chains) {
    for (const auto& [part, name] : known_firewalls) {
      const auto is_its = [&](const std::string& chain) { return chain.contains(part); };
      if (std::ranges::any_of(chains, is_its)) reading_.firewalls.emplace_back(name);
    }
  }

  NatResult reading_;
};

}  // namespace

NatResult read_nat_rules() { return Reader().read(); }

}  // namespace moat
