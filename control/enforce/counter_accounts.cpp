// SPDX-License-Identifier: BSD-2-Clause
#include "control/enforce/counter_accounts.h"

#include <set>

namespace moat {
namespace {

void add(moat_counter& to, const moat_counter& from) {
  to.packets += from.packets;
  to.bytes += from.bytes;
}

std::vector<std::uint32_t> outcome_slots(std::uint8_t owner) {
  std::vector<std::uint32_t> slots;
  for (unsigned monitored = 0; monitored < 2; monitored++) {
    for (unsigned reason = 0; reason < MOAT_REASONS; reason++) {
      slots.push_back(MOAT_OUTCOME_SLOT(owner, monitored, reason));
    }
  }
  return slots;
}

}  // namespace

Result<> CounterAccounts::fold_needed(const Assignment& assignment) {
  if (assignment.rules_to_fold.empty() && assignment.owners_to_fold.empty()) return {};
  const auto counts = backend_.counters();
  if (!counts) return std::unexpected(counts.error());
  std::vector<std::uint32_t> slots;
  for (const auto& [slot, key] : assignment.rules_to_fold) slots.push_back(slot);
  for (const auto& [owner, database] : assignment.owners_to_fold) {
    for (const auto slot : outcome_slots(owner)) slots.push_back(slot);
  }
  if (auto cleared = backend_.clear_counters(slots); !cleared) return cleared;
  for (const auto& [slot, key] : assignment.rules_to_fold) {
    add(state_.retired[key.database], (*counts)[slot]);
  }
  if (!counters_.empty()) {
    for (const auto slot : slots) counters_[slot] = {};
  }
  return {};
}

void CounterAccounts::fold_freed() {
  const auto& rules = state_.slots.rules().in_use;
  std::erase_if(state_.last_hits, [&](const auto& hit) { return !rules.contains(hit.first); });
  std::erase_if(state_.counted_since,
                [&](const auto& rule) { return !rules.contains(rule.first); });
  const auto freed_rules = state_.slots.rules().freed;
  const auto freed_owners = state_.slots.owners().freed;
  if (freed_rules.empty() && freed_owners.empty()) return;
  const auto counts = backend_.counters();
  if (!counts) return;
  for (const auto& [slot, key] : freed_rules) {
    add(state_.retired[key.database], (*counts)[slot]);
    state_.slots.release_rule(slot);
  }
  for (const auto& [owner, database] : freed_owners) {
    state_.retired.erase(database);
    state_.slots.release_owner(owner);
  }
  has_leftovers_ = true;
}

void CounterAccounts::sweep() {
  if (!has_leftovers_) return;
  auto counts = backend_.counters();
  if (!counts) return;
  std::set<std::uint32_t> taken;
  for (const auto& entry : state_.slots.rules().in_use) taken.insert(entry.second);
  for (const auto& entry : state_.slots.rules().freed) taken.insert(entry.first);
  const auto take_owner = [&taken](std::uint8_t owner) {
    for (const auto slot : outcome_slots(owner)) taken.insert(slot);
  };
  take_owner(0);
  for (const auto& entry : state_.slots.owners().in_use) take_owner(entry.second);
  for (const auto& entry : state_.slots.owners().freed) take_owner(entry.first);
  std::vector<std::uint32_t> leftover;
  for (std::uint32_t slot = 0; slot < counts->size(); slot++) {
    auto& count = (*counts)[slot];
    if (count.packets == 0 || taken.contains(slot)) continue;
    leftover.push_back(slot);
    count = {};
  }
  if (!leftover.empty() && !backend_.clear_counters(leftover)) return;
  has_leftovers_ = false;
  counters_ = std::move(*counts);
}

Result<bool> CounterAccounts::sample(WallTime now) {
  auto counts = backend_.counters();
  if (!counts) return std::unexpected(std::move(counts.error()));
  bool has_news = false;
  for (const auto& [key, slot] : state_.slots.rules().in_use) {
    has_news |= state_.counted_since.try_emplace(key, now).second;
    const std::uint64_t packets = (*counts)[slot].packets;
    const auto last = state_.last_hits.find(key);
    if (packets == (last == state_.last_hits.end() ? 0 : last->second.packets)) continue;
    // What came while no daemon ran came at the latest now. Counters that begin anew are no hit.
    state_.last_hits[key] = {packets == 0 ? last->second.time : now, packets};
    has_news = true;
  }
  counters_ = std::move(*counts);
  return has_news;
}

}  // namespace moat
