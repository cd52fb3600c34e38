// SPDX-License-Identifier: BSD-2-Clause
// Managed ranges as they change under the rules that name them.
//
// A provider that lists and withdraws the same network again and again would end the sessions from
// there each time. So what leaves a list stays allowed for `hold_down`, as a class with a deadline,
// which the packet path ends by itself: see HeldDown. What comes back meanwhile is listed again and
// no longer held down. What the operator takes away (a rule, a range) goes at once, as held-down
// CIDRs belong to a range that a rule names.
//
// A version that gains or loses too many addresses at once is a mistake of whoever made the list,
// rather than a change: it is held back until somebody accepts it.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "control/policy/list_change.h"
#include "control/policy/policy.h"
#include "control/resolve/resolution.h"

namespace moat {

// Remembers how each managed range's latest version compares with the one in force. Files are
// resolved at every edit, and two lists of a million take a tenth of a second to compare.
class VersionMemory {
 public:
  // The version, if it is too large a change; nothing: it is none.
  [[nodiscard]] const std::optional<HeldVersion>& compare(const ManagedRange& in_force,
                                                          const ManagedRange& version,
                                                          unsigned guard);

 private:
  // The lists themselves: another one may be made at the same place once one is gone.
  struct Comparison {
    std::weak_ptr<const Prefixes> in_force;
    std::weak_ptr<const Prefixes> version;
    unsigned guard = 0;
    std::optional<HeldVersion> result = {};
  };
  std::map<std::string, Comparison> comparisons_;  // by managed range
};

// By what changes of managed ranges are judged.
struct RangeUpdates {
  unsigned guard = 0;  // percent; 0: off
  std::chrono::seconds hold_down{0};
  std::map<std::string, std::string> accepted = {};  // versions, by their digest; by managed range
  std::shared_ptr<VersionMemory> memory = {};        // null: all are compared anew
};

// By which time rules have expired, and by which they have if the clock is wrong: see
// control/enforce/expiry_clock.h.
struct ResolveTime {
  WallTime now{};
  WallTime known{};
};

// What a change may have and never be too large: a list of a few CIDRs doubles with the next one.
inline constexpr std::size_t kSmallChange = 15;                 // CIDRs
inline constexpr std::uint64_t kSmallChangeAddresses = 65'536;  // and no more addresses than that

// "would lose 812 of its 1,024 addresses, more than guard: 50%"; nothing: it is not too large. A
// list that would be empty always is, and so is one that becomes half of all addresses or more; one
// that was empty may become anything else.
[[nodiscard]] std::optional<std::string> too_large(const ListChange& change, const Prefixes& after,
                                                   unsigned guard);

// The version, if it is too large a change of the one in force.
[[nodiscard]] std::optional<HeldVersion> find_large_change(const ManagedRange& in_force,
                                                           const ManagedRange& version,
                                                           unsigned guard);

// Takes over what `before` held down and adds what has left it by this version; says so in
// `history`. `is_named`: a rule named it before, and one does now.
void hold_down(const ManagedRange& before, ManagedRange& range, bool is_named,
               const RangeUpdates& updates, const ResolveTime& time, RangeHistory& history);

// Leaves out what is over, and sets what seems to begin in the future, as the clock was set back,
// to begin now. True if anything was changed.
bool tend_held_down(ManagedRange& range, const ResolveTime& time);

// How many prefixes it holds down.
[[nodiscard]] std::size_t count_held_down(const ManagedRange& range);

}  // namespace moat
