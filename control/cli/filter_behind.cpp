// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/filter_behind.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "control/cli/host_rules.h"

namespace moat {
namespace {

void note(HostFilters& filters, std::string sentence) {
  if (std::ranges::find(filters.unread, sentence) == filters.unread.end())
    filters.unread.push_back(std::move(sentence));
}

void ask_iptables(HostFilters& filters, const std::string& program) {
  auto text = read_host_rules(program, {});
  if (text) {
    filters.iptables.emplace_back(program, *std::move(text));
  } else {
    note(filters, "other firewalls were not asked for all of their rules: " + text.error().message);
  }
}

// The drop that is certain, or else the first that is possible.
void take(const FilterRuleset& ruleset, const std::string& who, Address source,
          HostFilters& filters, std::optional<DropBehind>& found) {
  if (ruleset.may_drop_answers())
    note(filters, "rules for what the host sends were not looked at: they may drop its answers");
  FilterWalk walk(ruleset);
  const auto decision = walk.judge(source);
  if (!decision.can_drop || (found && (found->is_certain || decision.can_pass))) return;
  const auto* rule = decision.dropped_by;
  found = DropBehind{decision.is_dropped(),
                     fmt::format("{}{}", who, rule == nullptr ? decision.dropped_at : rule->place),
                     decision.doubts.empty() ? "" : decision.doubts.front()->condition};
}

}  // namespace

HostFilters read_host_filters() {
  HostFilters filters;
  if (::geteuid() != 0) {
    note(filters,
         "whether another firewall drops it was not looked at: only root can read its rules");
    return filters;
  }
  if (auto json = read_host_rules("nft", {"-j", "list", "ruleset"})) {
    filters.nft = *std::move(json);
    const auto ruleset = parse_nft_filter(filters.nft, {});
    if (ruleset && ruleset->iptables.contains("ip")) ask_iptables(filters, "iptables-nft-save");
  } else {
    note(filters, "whether nftables drops it was not looked at: " + json.error().message);
  }
  if (has_legacy_table("ip", "filter")) ask_iptables(filters, "iptables-legacy-save");
  return filters;
}

std::optional<DropBehind> find_drop_behind(HostFilters& filters, Address source,
                                           const FilterQuestion& question) {
  std::optional<DropBehind> found;
  if (!filters.nft.empty()) {
    const auto ruleset = parse_nft_filter(filters.nft, question);
    if (ruleset) take(*ruleset, "", source, filters, found);
    if (!ruleset) note(filters, "nft -j list ruleset: " + ruleset.error());
  }
  for (const auto& [program, text] : filters.iptables) {
    const auto ruleset = parse_iptables_filter(text, question);
    if (ruleset) take(*ruleset, "iptables ", source, filters, found);
    if (!ruleset) note(filters, fmt::format("{}: {}", program, ruleset.error()));
  }
  return found;
}

}  // namespace moat
