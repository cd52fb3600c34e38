// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/suggestions.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <set>

#include "control/text/input_limits.h"

namespace moat {
namespace {

constexpr std::size_t kFew = 3;  // sources that are not put together
constexpr std::uint64_t kSparse = 4;
constexpr std::uint8_t kWidest = 24;

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

// Of one /24.
void add_network(BySource::const_iterator begin, BySource::const_iterator end,
                 std::vector<Suggestion>& into) {
  const auto count = static_cast<std::size_t>(std::distance(begin, end));
  const auto cover = hold_both(begin->first, std::prev(end)->first);
  const auto addresses = std::uint64_t{1} << (32 - cover.length);
  if (count < kFew || addresses > count * kSparse) {
    for (auto at = begin; at != end; ++at) into.push_back(at->second);
    return;
  }
  Suggestion whole;
  for (auto at = begin; at != end; ++at) add(whole, at->second);
  whole.cidr = cover;
  into.push_back(whole);
}

std::vector<Suggestion> put_together(const BySource& sources) {
  std::vector<Suggestion> all;
  for (auto begin = sources.begin(); begin != sources.end();) {
    const auto network = Prefix::of(begin->first, kWidest);
    const auto end = std::find_if_not(
        begin, sources.end(), [&](const auto& entry) { return network.contains(entry.first); });
    add_network(begin, end, all);
    begin = end;
  }
  return all;
}

}  // namespace

Suggestions suggest_rules(const std::vector<DropView>& drops, const DatabaseView& database,
                          std::size_t room, const std::function<bool(Address)>& is_allowed) {
  Suggestions result;
  std::map<std::string, std::set<std::string>> left_out;  // sources, by why
  BySource sources;
  const auto is_unwanted = [&](Address source) {
    return std::ranges::any_of(database.expectations, [&](const auto& expected) {
      return !expected.allowed && expected.source == source;
    });
  };
  for (const auto& drop : drops) {
    const auto source = parse_address(drop.source);
    std::string why;
    if (!source)
      why = "there are no IPv6 rules";
    else if (!could_be_let_in(drop))
      why = fmt::format("no rule lets in what is dropped as {}", drop.reason);
    else if (is_martian(*source))
      why = "no client has such an address";
    else if (is_unwanted(*source))
      why = "expected to be denied";
    if (!why.empty()) {
      left_out[why].insert(drop.source);
      continue;
    }
    auto& entry = sources[*source];
    add(entry, {{}, 1, drop.packets, drop.first, drop.last, drop.monitored});
    entry.cidr = {*source, 32};
    entry.sources = 1;
  }
  for (const auto& [why, who] : left_out) result.left_out[why] = who.size();
  auto all = put_together(sources);
  std::ranges::stable_sort(all, std::ranges::greater{}, &Suggestion::packets);
  for (const auto& suggestion : all) {
    if (result.suggestions.size() == room) {
      result.left_out[fmt::format("a database has {} rules at most", limits::rules)] +=
          suggestion.sources;
    } else if (suggestion.sources == 1 && is_allowed(suggestion.cidr.address)) {
      result.left_out["allowed by now"] += 1;
    } else {
      result.suggestions.push_back(suggestion);
    }
  }
  return result;
}

}  // namespace moat
