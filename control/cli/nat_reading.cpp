// SPDX-License-Identifier: BSD-2-Clause
// The NAT rules of this host: asks nft for all, and iptables where nft says that it does not show
// a rule whole, or where the kernel has tables of the older iptables, which nft does not know.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "control/cli/nat_rules.h"
#include "control/os/run_program.h"

namespace moat {
namespace {

using namespace std::chrono_literals;

// Of a host with tens of thousands of rules; whoever waits for the command waits no longer.
constexpr auto patience = 10s;

class Reader {
 public:
  NatResult read() {
    if (::geteuid() != 0) {
      reading_.unread.emplace_back("NAT rules were not looked at: only root can read them");
      return std::move(reading_);
    }
    read_nft();
    if (has_legacy("/proc/net/ip_tables_names")) read_iptables("iptables-legacy-save", false);
    if (has_legacy("/proc/net/ip6_tables_names")) read_iptables("ip6tables-legacy-save", true);
    return std::move(reading_);
  }

 private:
  void read_nft() {
    const auto json = run_program("nft", {"-j", "list", "ruleset"}, patience);
    if (!json) return tell(json.error().message);
    const auto ruleset = parse_nft_nat(*json);
    if (!ruleset) return tell(fmt::format("nft -j list ruleset: {}", ruleset.error()));
    take(*ruleset);
    if (ruleset->has_iptables4) read_iptables("iptables-nft-save", false);
    if (ruleset->has_iptables6) read_iptables("ip6tables-nft-save", true);
  }

  void read_iptables(const std::string& program, bool ipv6) {
    const auto text = run_program(program, {"-t", "nat"}, patience);
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

  // Asking iptables-legacy-save would make the tables that it is asked about.
  static bool has_legacy(const char* names) {
    std::ifstream file(names);
    for (std::string name; std::getline(file, name);) {
      if (name == "nat") return true;
    }
    return false;
  }

  NatResult reading_;
};

}  // namespace

NatResult read_nat_rules() { return Reader().read(); }

}  // namespace moat
