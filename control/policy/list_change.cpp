// SPDX-License-Identifier: BSD-2-Clause
#include "control/policy/list_change.h"

#include <algorithm>
#include <iterator>

namespace moat {
namespace {

using Spans = std::vector<AddressSet::Span>;

std::uint64_t count(const Spans& spans) {
  std::uint64_t sum = 0;
  for (const auto& span : spans) sum += span.end - span.first;
  return sum;
}

std::uint64_t count_common(const Spans& a, const Spans& b) {
  std::uint64_t sum = 0;
  for (auto x = a.begin(), y = b.begin(); x != a.end() && y != b.end();) {
    const auto first = std::max(x->first, y->first);
    const auto end = std::min(x->end, y->end);
    if (first < end) sum += end - first;
    (x->end < y->end ? x : y)++;
  }
  return sum;
}

}  // namespace

Prefixes ascending(const Prefixes& list) {
  Prefixes sorted = list;
  if (!std::ranges::is_sorted(sorted)) std::ranges::sort(sorted);
  sorted.erase(std::ranges::unique(sorted).begin(), sorted.end());
  return sorted;
}

AddressSet::AddressSet(const Prefixes& list) {
  for (const auto& prefix : ascending(list)) {
    const std::uint64_t first = prefix.first().value;
    const std::uint64_t end = std::uint64_t{prefix.last().value} + 1;
    if (!spans_.empty() && first <= spans_.back().end) {
      spans_.back().end = std::max(spans_.back().end, end);
    } else {
      spans_.push_back({first, end});
    }
  }
}

bool AddressSet::holds_all_of(Prefix prefix) const {
  const auto after = std::ranges::upper_bound(spans_, prefix.first().value, {}, &Span::first);
  return after != spans_.begin() && prefix.last().value < std::prev(after)->end;
}

ListChange compare_lists(const Prefixes& before, const Prefixes& after) {
  ListChange change;
  const auto old_list = ascending(before);
  const auto new_list = ascending(after);
  const AddressSet old_set(old_list);
  const AddressSet new_set(new_list);
  const auto common = count_common(old_set.spans(), new_set.spans());
  change.before = count(old_set.spans());
  change.after = count(new_set.spans());
  change.gained = change.after - common;
  change.lost = change.before - common;
  std::ranges::set_difference(new_list, old_list, std::back_inserter(change.added));
  std::ranges::set_difference(old_list, new_list, std::back_inserter(change.removed));
  return change;
}

}  // namespace moat
