// SPDX-License-Identifier: BSD-2-Clause
#include "control/resolve/hold_down.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

#include "control/policy/cidrs_digest.h"

namespace moat {
namespace {

// Deadlines are rounded up to so many a hold-down, as each one is a class of its own: a list that
// changes every second has no more of them than this.
constexpr std::int64_t kDeadlines = 60;
constexpr std::uint64_t kHalf = std::uint64_t{1} << 31;  // of all addresses

WallTime deadline(WallTime now, std::chrono::seconds length) {
  const auto step = std::max<std::int64_t>(1, length.count() / kDeadlines);
  const auto exact = (now + length).time_since_epoch().count();
  return WallTime(std::chrono::seconds((exact + step - 1) / step * step));
}

bool is_more(std::uint64_t part, std::uint64_t whole, unsigned percent) {
  return part * 100 > whole * percent;  // 2^32 * 1000 at most
}

// Those of `prefixes`, which ascend, that hold an address that is not listed.
Prefixes not_listed(Prefixes prefixes, const AddressSet& listed) {
  std::erase_if(prefixes, [&](Prefix prefix) { return listed.holds_all_of(prefix); });
  return prefixes;
}

// Ends what is listed again; how many prefixes that are is added to `returned`.
void end_listed(std::vector<HeldDown>& all, const Prefixes& list, const AddressSet& listed,
                std::uint64_t& returned) {
  for (auto& held : all) {
    Prefixes left;
    std::ranges::set_difference(*held.cidrs, list, std::back_inserter(left));
    returned += held.cidrs->size() - left.size();
    left = not_listed(std::move(left), listed);
    if (left.size() != held.cidrs->size())
      held.cidrs = std::make_shared<const Prefixes>(std::move(left));
  }
  std::erase_if(all, [](const HeldDown& held) { return held.cidrs->empty(); });
}

void add(std::vector<HeldDown>& all, HeldDown held) {
  const auto same = std::ranges::find(all, held.until, &HeldDown::until);
  if (same == all.end()) {
    all.insert(std::ranges::upper_bound(all, held.until, {}, &HeldDown::until), std::move(held));
    return;
  }
  Prefixes both;
  std::ranges::set_union(*same->cidrs, *held.cidrs, std::back_inserter(both));
  same->cidrs = std::make_shared<const Prefixes>(std::move(both));
}

}  // namespace

std::optional<std::string> too_large(const ListChange& change, const Prefixes& after,
                                     unsigned guard) {
  if (guard == 0) return std::nullopt;
  if (change.after >= kHalf && change.before < kHalf)
    return fmt::format("would have {} addresses, half of all or more, and has {}", change.after,
                       change.before);
  if (change.before == 0) return std::nullopt;
  if (after.empty()) return fmt::format("would be empty, and has {} addresses", change.before);
  const auto is_large = [&](std::uint64_t addresses, const Prefixes& cidrs) {
    return is_more(addresses, change.before, guard) &&
           (cidrs.size() > kSmallChange || addresses > kSmallChangeAddresses);
  };
  if (is_large(change.lost, change.removed))
    return fmt::format("would lose {} of its {} addresses, more than guard: {}%", change.lost,
                       change.before, guard);
  if (is_large(change.gained, change.added))
    return fmt::format("would gain {} addresses and has {}, more than guard: {}%", change.gained,
                       change.before, guard);
  return std::nullopt;
}

std::optional<HeldVersion> find_large_change(const ManagedRange& in_force,
                                             const ManagedRange& version, unsigned guard) {
  const auto& [before, after] = std::tie(*in_force.cidrs, *version.cidrs);
  if (guard == 0 || in_force.cidrs == version.cidrs || before == after) return std::nullopt;
  auto change = too_large(compare_lists(before, after), after, guard);
  if (!change) return std::nullopt;
  return HeldVersion{cidrs_digest(after), after.size(), std::move(*change)};
}

const std::optional<HeldVersion>& VersionMemory::compare(const ManagedRange& in_force,
                                                         const ManagedRange& version,
                                                         unsigned guard) {
  auto& known = comparisons_[version.id];
  const bool is_known = known.in_force.lock() == in_force.cidrs &&
                        known.version.lock() == version.cidrs && known.guard == guard;
  if (!is_known)
    known = {in_force.cidrs, version.cidrs, guard, find_large_change(in_force, version, guard)};
  return known.result;
}

bool tend_held_down(ManagedRange& range, const ResolveTime& time) {
  const auto over = std::erase_if(range.held_down,
                                  [&](const HeldDown& held) { return held.is_over(time.known); });
  bool has_changed = over != 0;
  for (auto& held : range.held_down) {
    if (held.since <= time.now) continue;
    held.until -= held.since - time.now;
    held.since = time.now;
    has_changed = true;
  }
  return has_changed;
}

std::size_t count_held_down(const ManagedRange& range) {
  std::size_t count = 0;
  for (const auto& held : range.held_down) count += held.cidrs->size();
  return count;
}

void hold_down(const ManagedRange& before, ManagedRange& range, bool is_named,
               const RangeUpdates& updates, const ResolveTime& time, RangeHistory& history) {
  const bool is_kept = is_named && updates.hold_down.count() > 0;
  range.held_down = is_kept ? before.held_down : std::vector<HeldDown>();
  tend_held_down(range, time);
  const auto latest = deadline(time.now, updates.hold_down);
  for (auto& held : range.held_down) held.until = std::min(held.until, latest);
  if (before.cidrs == range.cidrs || *before.cidrs == *range.cidrs) return;
  const auto change = compare_lists(*before.cidrs, *range.cidrs);
  history.changed = time.now;
  history.added = change.added.size();
  history.removed = change.removed.size();
  history.not_held = 0;
  if (!is_kept) return;
  const auto list = ascending(*range.cidrs);
  const AddressSet listed(list);
  end_listed(range.held_down, list, listed, history.returned);
  auto gone = not_listed(change.removed, listed);
  if (gone.empty()) return;
  add(range.held_down, {time.now, latest, std::make_shared<const Prefixes>(std::move(gone))});
}

}  // namespace moat
