// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/suggestions.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <set>

#include "control/policy/coverage.h"
#include "control/policy/list_change.h"
#include "control/text/input_limits.h"

namespace moat {
namespace {

constexpr std::size_t kFew = 3;  // sources that are not put together
constexpr std::uint64_t kSparse = 4;
constexpr std::uint8_t kWidest = 24;
constexpr std::uint64_t kMaxNetworkAddresses = std::uint64_t{1} << 24;  // as a /8 has

void add(Suggestion& to, const Suggestion& other) {
  to.first = to.sources == 0 ? other.first : std::min(to.first, other.first);
  to.last = to.sources == 0 ? other.last : std::max(to.last, other.last);
  to.monitored = (to.sources == 0 || to.monitored) && other.monitored;
  to.sources += other.sources;
  to.packets += other.packets;
}

// The smallest prefix that holds both.
Prefix hold_both(Address a, Address b) {
  return Prefix::of(a, static_cast<std::uint8_t>(std::countl_zero(a.value ^ b.value)));
}

// By a rule a source is let in that found none; as the backstop drops those, too.
bool could_be_let_in(const DropView& drop) {
  return drop.reason == "no-rule" || drop.reason == "backstop";
}

using BySource = std::map<Address, Suggestion>;

// The sources that a database expects to be denied.
std::vector<Address> denied_by(const DatabaseView& database) {
  std::vector<Address> denied;
  for (const auto& expected : database.expectations)
    if (!expected.allowed) denied.push_back(expected.source);
  return denied;
}

bool holds_any(Prefix prefix, const std::vector<Address>& sources) {
  return std::ranges::any_of(sources, [&](Address source) { return prefix.contains(source); });
}

// Those that may be suggested as they are.
std::vector<const NamedNetwork*> find_usable(const std::vector<NamedNetwork>& networks,
                                             const std::vector<Address>& denied) {
  std::vector<const NamedNetwork*> usable;
  for (const auto& network : networks) {
    const bool is_against_expectation = std::ranges::any_of(
        network.cidrs, [&](Prefix prefix) { return holds_any(prefix, denied); });
    if (!is_against_expectation && count_client_addresses(network.cidrs) <= kMaxNetworkAddresses)
      usable.push_back(&network);
  }
  return usable;
}

// Takes the sources out that are in a network with a name, and puts them together by it.
std::vector<Suggestion> take_named(BySource& sources,
                                   const std::vector<const NamedNetwork*>& networks) {
  std::vector<Suggestion> named;
  for (const auto* network : networks) {
    Suggestion whole;
    whole.network = network;
    const AddressSet addresses(network->cidrs);
    std::erase_if(sources, [&](const auto& entry) {
      const bool is_in = addresses.holds_all_of({entry.first, 32});
      if (is_in) add(whole, entry.second);
      return is_in;
    });
    if (whole.sources > 0) named.push_back(std::move(whole));
  }
  return named;
}

// Of one /24.
void add_network(BySource::const_iterator begin, BySource::const_iterator end,
                 const std::vector<Address>& denied, std::vector<Suggestion>& into) {
  const auto count = static_cast<std::size_t>(std::distance(begin, end));
  const auto cover = hold_both(begin->first, std::prev(end)->first);
  const auto addresses = std::uint64_t{1} << (32 - cover.length);
  if (count < kFew || addresses > count * kSparse || holds_any(cover, denied)) {
    for (auto at = begin; at != end; ++at) into.push_back(at->second);
    return;
  }
  Suggestion whole;
  for (auto at = begin; at != end; ++at) add(whole, at->second);
  whole.cidr = cover;
  into.push_back(whole);
}

void put_together(const BySource& sources, const std::vector<Address>& denied,
                  std::vector<Suggestion>& all) {
  for (auto begin = sources.begin(); begin != sources.end();) {
    const auto network = Prefix::of(begin->first, kWidest);
    const auto end = std::find_if_not(
        begin, sources.end(), [&](const auto& entry) { return network.contains(entry.first); });
    add_network(begin, end, denied, all);
    begin = end;
  }
}

// Each source that a rule could have let in; the others are counted as left out.
BySource collect_sources(const std::vector<DropView>& drops, const std::vector<Address>& denied,
                         Suggestions& result) {
  std::map<std::string, std::set<std::string>> left_out;  // sources, by why
  BySource sources;
  for (const auto& drop : drops) {
    const auto source = parse_address(drop.source);
    std::string why;
    if (!source)
      why = "there are no IPv6 rules";
    else if (!could_be_let_in(drop))
      why = fmt::format("no rule lets in what is dropped as {}", drop.reason);
    else if (is_martian(*source))
      why = "no client has such an address";
    else if (std::ranges::find(denied, *source) != denied.end())
      why = "expected to be denied";
    if (!why.empty()) {
      left_out[why].insert(drop.source);
      continue;
    }
    auto& entry = sources[*source];
    add(entry, {{}, nullptr, 1, drop.packets, drop.first, drop.last, drop.monitored});
    entry.cidr = {*source, 32};
    entry.sources = 1;
  }
  for (const auto& [why, who] : left_out) result.left_out[why] = who.size();
  return sources;
}

}  // namespace

Suggestions suggest_rules(const std::vector<DropView>& drops, const DatabaseView& database,
                          const std::vector<NamedNetwork>& networks, std::size_t room,
                          const std::function<bool(Address)>& is_allowed) {
  Suggestions result;
  const auto denied = denied_by(database);
  auto sources = collect_sources(drops, denied, result);
  const auto by_now =
      std::erase_if(sources, [&](const auto& entry) { return is_allowed(entry.first); });
  if (by_now > 0) result.left_out["allowed by now"] = by_now;
  auto all = take_named(sources, find_usable(networks, denied));
  put_together(sources, denied, all);
  std::ranges::stable_sort(all, std::ranges::greater{}, &Suggestion::packets);
  for (auto& suggestion : all) {
    if (result.suggestions.size() == room) {
      result.left_out[fmt::format("a database has {} rules at most", limits::rules)] +=
          suggestion.sources;
    } else {
      result.suggestions.push_back(suggestion);
    }
  }
  return result;
}

}  // namespace moat
