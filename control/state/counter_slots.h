// SPDX-License-Identifier: BSD-2-Clause
// Which counter counts for whom. Numbers are stable over generations and restarts: a rule keeps its
// slot, and with it its hits, for as long as it is in the policy.
//
//   free --assign()--> in use --assign() without it--> freed --release()--> free
//                        ^------------ named again -----'
//
// A freed slot may still be counted on by the old generation until the kernel has finished with it,
// and then holds counts that belong to its database's total. It is handed out again only once it is
// released: its counts read, folded, and the counter cleared. Should that not be done in time for a
// policy that needs the slot, assign() says so (see Assignment).
//
// A value: copy it, assign, and keep the copy only if the generation is committed.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/policy/policy.h"

namespace moat {

// A rule.
struct SlotKey {
  std::string database;
  std::string id;

  friend auto operator<=>(const SlotKey&, const SlotKey&) = default;
};

// One kind of numbers: 1..most, each for one key.
template <typename Key, typename Number>
struct Numbering {
  std::map<Key, Number> in_use;
  std::map<Number, Key> freed;

  friend bool operator==(const Numbering&, const Numbering&) = default;
};

using RuleSlots = Numbering<SlotKey, std::uint16_t>;      // 1..MOAT_RULE_SLOTS-1
using OwnerSlots = Numbering<std::string, std::uint8_t>;  // 1..MOAT_MAX_DATABASES

// Freed numbers that were needed at once: fold and clear their counters before the commit. What the
// old generation counts on them between that and the commit is taken for their new owner's.
struct Assignment {
  std::map<std::uint16_t, SlotKey> rules_to_fold;
  std::map<std::uint8_t, std::string> owners_to_fold;
};

class Slots {
 public:
  Slots() = default;
  Slots(RuleSlots rules, OwnerSlots owners)
      : rules_(std::move(rules)), owners_(std::move(owners)) {}

  // Gives each database and rule of `policy` its number and frees all others. Numbers cannot run
  // out while the policy keeps to its limits.
  [[nodiscard]] Assignment assign(const Policy& policy);

  // 0 for who has none.
  [[nodiscard]] std::uint16_t rule(std::string_view database, std::string_view id) const;
  [[nodiscard]] std::uint8_t owner(std::string_view database) const;

  // The counts of these freed numbers are folded and their counters clear.
  void release_rule(std::uint16_t slot) { rules_.freed.erase(slot); }
  void release_owner(std::uint8_t owner) { owners_.freed.erase(owner); }

  [[nodiscard]] const RuleSlots& rules() const { return rules_; }
  [[nodiscard]] const OwnerSlots& owners() const { return owners_; }

  friend bool operator==(const Slots&, const Slots&) = default;

 private:
  RuleSlots rules_;
  OwnerSlots owners_;
};

}  // namespace moat
