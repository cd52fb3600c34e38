// SPDX-License-Identifier: BSD-2-Clause
#include "control/state/counter_slots.h"

#include <set>

#include "bpf/abi.h"

namespace moat {
namespace {

static_assert(
    MOAT_RULE_SLOTS - 1 >= MOAT_MAX_DATABASES * (MOAT_MAX_RULES + MOAT_MAX_PEERINGS),
    "each rule of a policy has a slot, of a state from before net peerings needed one too");

template <typename Key, typename Number>
void free_others(Numbering<Key, Number>& numbers, const std::set<Key>& wanted) {
  for (auto entry = numbers.in_use.begin(); entry != numbers.in_use.end();) {
    if (wanted.contains(entry->first)) {
      ++entry;
    } else {
      numbers.freed.emplace(entry->second, entry->first);
      entry = numbers.in_use.erase(entry);
    }
  }
}

// What comes back before it was released goes on counting where it was.
template <typename Key, typename Number>
void take_back(Numbering<Key, Number>& numbers, const std::set<Key>& wanted) {
  for (auto entry = numbers.freed.begin(); entry != numbers.freed.end();) {
    if (wanted.contains(entry->second) &&
        numbers.in_use.emplace(entry->second, entry->first).second) {
      entry = numbers.freed.erase(entry);
    } else {
      ++entry;
    }
  }
}

// Numbers in ascending order: those that nobody has, then freed ones, which go to `to_fold`.
template <typename Key, typename Number>
void assign_numbers(Numbering<Key, Number>& numbers, const std::set<Key>& wanted, unsigned most,
                    std::map<Number, Key>& to_fold) {
  free_others(numbers, wanted);
  take_back(numbers, wanted);
  std::set<Number> taken;
  for (const auto& entry : numbers.in_use) taken.insert(entry.second);
  for (const auto& entry : numbers.freed) taken.insert(entry.first);
  unsigned next = 1;
  for (const auto& key : wanted) {
    if (numbers.in_use.contains(key)) continue;
    while (next <= most && taken.contains(static_cast<Number>(next))) ++next;
    if (next <= most) {
      numbers.in_use.emplace(key, static_cast<Number>(next++));
    } else if (!numbers.freed.empty()) {
      const auto entry = numbers.freed.extract(numbers.freed.begin());
      numbers.in_use.emplace(key, entry.key());
      to_fold.emplace(entry.key(), entry.mapped());
    }
  }
}

}  // namespace

Assignment Slots::assign(const Policy& policy) {
  std::set<SlotKey> rules;
  std::set<std::string> owners;
  for (const auto& database : policy.databases) {
    owners.insert(database.id);
    for (const auto& rule : database.rules) rules.insert({database.id, rule.id});
  }
  Assignment result;
  assign_numbers(rules_, rules, MOAT_RULE_SLOTS - 1, result.rules_to_fold);
  assign_numbers(owners_, owners, MOAT_MAX_DATABASES, result.owners_to_fold);
  return result;
}

std::uint16_t Slots::rule(std::string_view database, std::string_view id) const {
  const auto found = rules_.in_use.find({std::string(database), std::string(id)});
  return found == rules_.in_use.end() ? std::uint16_t{0} : found->second;
}

std::uint8_t Slots::owner(std::string_view database) const {
  const auto found = owners_.in_use.find(std::string(database));
  return found == owners_.in_use.end() ? std::uint8_t{0} : found->second;
}

}  // namespace moat
