// SPDX-License-Identifier: BSD-2-Clause
// One sweep over the address space, in three steps:
//
//   1. Origins. A rule's CIDR, net peering or managed range is an origin: what it allows, to which
//      databases. A managed range that several databases name is one origin, and what it holds down
//      until a deadline is another.
//   2. Items. Every prefix of every origin is an item, sorted by (address, length); then an outer
//      prefix stands before those it holds. Origins that share a prefix merge into one origin.
//   3. Sweep. A stack holds the prefixes around the current address, each with the source class
//      inside it. A class is a row of verdict entries, one a database, so the class inside a prefix
//      follows from the class around it and the prefix's origin alone; that step is remembered, and
//      a million prefixes of one managed range take it once.
//
// Rules with an expiry do not replace what they cover but stand before it (moat_timed): a chain of
// entries with rising deadlines, in which what would have ended before is left out.
#include "control/enforce/compile.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "control/text/input_limits.h"

namespace moat {
namespace {

constexpr std::uint64_t kNever = ~std::uint64_t{0};

// What an origin allows to one database.
struct Grant {
  std::uint32_t database = 0;  // index in the policy
  std::uint16_t slot = 0;
  std::uint64_t deadline = kNever;  // CLOCK_MONOTONIC, ns
  std::uint32_t order = 0;          // on a tie the lower one gets the hit: kind, then file order
};
using Origin = std::vector<Grant>;

constexpr std::uint32_t order_of(SourceKind kind, std::size_t position) {
  return static_cast<std::uint32_t>(kind) << 16 | static_cast<std::uint32_t>(position);
}

// One prefix: address (32 bits), length (6), origin (26), so that numbers sort as the sweep needs.
using Item = std::uint64_t;
constexpr unsigned kOriginBits = 26;
Item make_item(Prefix prefix, std::size_t origin) {
  return std::uint64_t{prefix.address.value} << 32 | std::uint64_t{prefix.length} << kOriginBits |
         origin;
}
constexpr std::uint64_t same_prefix(Item item) { return item >> kOriginBits; }

class Compiler {
 public:
  Compiler(const Policy& policy, const SlotMap& slots, const ClockPair& clock)
      : policy_(policy), slots_(slots), clock_(clock) {}

  Result<TableInput> run() {
    collect();
    std::sort(items_.begin(), items_.end());
    intern(std::vector<std::uint16_t>(policy_.databases.size()));  // class 0: nobody
    sweep();
    if (timed_.size() > MOAT_MAX_TIMED || rows_.size() > kMaxRows)
      return std::unexpected(
          Error{fmt::format("the policy combines in too many ways: {} sets of rules, {} of them "
                            "with expiries",
                            rows_.size(), timed_.size()),
                "name fewer managed ranges that overlap one another"});
    return output();
  }

 private:
  // Rows met on the way; only those that some source ends in count against MOAT_MAX_CLASSES.
  static constexpr std::size_t kMaxRows = std::size_t{1} << 20;

  // Of a range's list, and of each part of what it holds down.
  using RangeOrigins = std::map<std::pair<std::string_view, std::size_t>, std::size_t>;

  void collect() {
    RangeOrigins range_origins;
    for (std::uint32_t d = 0; d < policy_.databases.size(); d++) {
      const Database& database = policy_.databases[d];
      for (std::size_t i = 0; i < database.rules.size(); i++)
        collect_rule(d, database.rules[i], i, range_origins);
    }
  }

  void collect_rule(std::uint32_t d, const Rule& rule, std::size_t position,
                    RangeOrigins& range_origins) {
    const auto now = std::chrono::floor<std::chrono::seconds>(clock_.wall);
    if (rule.is_expired(now)) return;
    const auto add = [&](std::span<const Prefix> prefixes, std::size_t part,
                         std::optional<WallTime> ends) {
      auto origin = origins_.size();
      bool is_new = true;
      if (rule.kind() == SourceKind::managed_range)
        std::tie(origin, is_new) = find_origin({rule.managed_range, part}, range_origins);
      if (is_new) {
        origins_.emplace_back();
        items_.reserve(items_.size() + prefixes.size());
        for (const Prefix& prefix : prefixes) items_.push_back(make_item(prefix, origin));
      }
      origins_[origin].push_back(grant(d, rule.id, ends, order_of(rule.kind(), position)));
    };
    add(prefixes_of(policy_, policy_.databases[d], rule), 0, rule.expires);
    for (std::size_t part = 1; const auto& held : held_down_of(policy_, rule)) {
      if (!held.is_over(now))
        add(*held.cidrs, part, std::min(rule.expires.value_or(held.until), held.until));
      part++;
    }
  }

  // That of a managed range's part, and whether it is new.
  std::pair<std::size_t, bool> find_origin(RangeOrigins::key_type part,
                                           RangeOrigins& range_origins) const {
    const auto [known, is_new] = range_origins.try_emplace(part, origins_.size());
    return {known->second, is_new};
  }

  Grant grant(std::uint32_t d, const std::string& rule, std::optional<WallTime> expires,
              std::uint32_t order) const {
    std::uint64_t deadline = kNever;
    // Beyond what nanoseconds can say the daemon alone sees to it, as time goes by.
    if (expires && *expires < kLastInNs) {
      const std::chrono::nanoseconds left = in_ns(*expires) - clock_.wall;
      deadline = clock_.monotonic + static_cast<std::uint64_t>(left.count());
    }
    return {d, slots_.rule(policy_.databases[d].id, rule), deadline, order};
  }

  // The origin that stands for all those in [begin, end), which share a prefix.
  std::size_t merge(const Item* begin, const Item* end) {
    constexpr std::uint64_t mask = (std::uint64_t{1} << kOriginBits) - 1;
    if (end - begin == 1) return *begin & mask;
    std::vector<std::size_t> parts;
    for (const Item* item = begin; item != end; item++)
      if (parts.empty() || parts.back() != (*item & mask)) parts.push_back(*item & mask);
    if (parts.size() == 1) return parts.front();
    auto [known, is_new] = merged_.try_emplace(std::move(parts), origins_.size());
    if (is_new) {
      Origin whole;
      for (const std::size_t part : known->first)
        whole.insert(whole.end(), origins_[part].begin(), origins_[part].end());
      // Entered from the last to the first, so that the first one ends up in front.
      std::sort(whole.begin(), whole.end(),
                [](const Grant& a, const Grant& b) { return a.order > b.order; });
      origins_.push_back(std::move(whole));
    }
    return known->second;
  }

  std::uint32_t intern(const std::vector<std::uint16_t>& row) {
    std::string key(reinterpret_cast<const char*>(row.data()), row.size() * sizeof row[0]);
    auto [known, is_new] =
        row_ids_.try_emplace(std::move(key), static_cast<std::uint32_t>(rows_.size()));
    if (is_new) rows_.push_back(row);
    return known->second;
  }

  // The verdict entry for a source that `grant` allows and for which `around` held before.
  std::uint16_t enter(const Grant& grant, std::uint16_t around) {
    if (grant.deadline == kNever) return grant.slot;
    while (around & MOAT_TIMED && timed_[around & ~MOAT_TIMED].deadline <= grant.deadline)
      around = timed_[around & ~MOAT_TIMED].next;
    auto [known, is_new] = timed_ids_.try_emplace({grant.deadline, grant.slot, around},
                                                  static_cast<std::uint32_t>(timed_.size()));
    if (is_new && timed_.size() <= MOAT_MAX_TIMED)
      timed_.push_back({grant.deadline, grant.slot, around, 0});
    return static_cast<std::uint16_t>(MOAT_TIMED | (known->second & (MOAT_MAX_TIMED - 1)));
  }

  // The class inside a prefix of `origin`, `around` being the class around it.
  std::uint32_t inside(std::uint32_t around, std::size_t origin) {
    const std::uint64_t key = std::uint64_t{around} << 32 | origin;
    if (key == last_key_) return last_class_;
    auto [known, is_new] = steps_.try_emplace(key, 0);
    if (is_new && rows_.size() <= kMaxRows) {
      std::vector<std::uint16_t> row = rows_[around];
      for (const Grant& grant : origins_[origin])
        row[grant.database] = enter(grant, row[grant.database]);
      known->second = intern(row);
    }
    last_key_ = key;
    return last_class_ = known->second;
  }

  void emit(std::uint32_t first, std::uint32_t cls) {
    if (!ranges_.empty() && ranges_.back().first == first) ranges_.pop_back();
    if (ranges_.empty() || ranges_.back().cls != cls) ranges_.push_back({first, cls});
  }

  void sweep() {
    struct Open {
      std::uint32_t last;
      std::uint32_t cls;
    };
    std::vector<Open> open;
    const auto current = [&open] { return open.empty() ? 0 : open.back().cls; };
    const auto close = [&] {
      const std::uint32_t last = open.back().last;
      open.pop_back();
      if (last != ~std::uint32_t{0}) emit(last + 1, current());
    };

    ranges_.reserve(items_.size() * 2 + 1);
    emit(0, 0);
    for (const Item* item = items_.data(); item != items_.data() + items_.size();) {
      const Item* next = item + 1;
      while (next != items_.data() + items_.size() && same_prefix(*next) == same_prefix(*item))
        next++;
      const auto first = static_cast<std::uint32_t>(*item >> 32);
      const auto length = static_cast<unsigned>(*item >> kOriginBits & 63);
      while (!open.empty() && open.back().last < first) close();
      const std::uint32_t cls = inside(current(), merge(item, next));
      open.push_back({first | ~Prefix::mask(length), cls});
      emit(first, cls);
      item = next;
    }
    while (!open.empty()) close();
  }

  // Numbers anew the classes that are left, in the order they appear; 0 stays 0.
  TableInput output() {
    TableInput to;
    std::vector<std::uint32_t> number(rows_.size(), ~std::uint32_t{0});
    std::uint32_t classes = 0;
    const auto keep = [&](std::uint32_t cls) {
      if (number[cls] != ~std::uint32_t{0}) return;
      number[cls] = classes++;
      to.classes.insert(to.classes.end(), rows_[cls].begin(), rows_[cls].end());
    };
    keep(0);
    for (const auto& range : ranges_) keep(range.cls);
    to.ranges.reserve(ranges_.size());
    for (const auto& range : ranges_)
      to.ranges.push_back({range.first, static_cast<std::uint16_t>(number[range.cls])});
    to.timed = std::move(timed_);
    to.prefixes = static_cast<std::uint32_t>(items_.size());
    return to;
  }

  struct WideRange {
    std::uint32_t first;
    std::uint32_t cls;
  };

  const Policy& policy_;
  const SlotMap& slots_;
  const ClockPair& clock_;
  std::vector<Origin> origins_;
  std::vector<Item> items_;
  std::map<std::vector<std::size_t>, std::size_t> merged_;
  std::vector<std::vector<std::uint16_t>> rows_;
  std::unordered_map<std::string, std::uint32_t> row_ids_;
  std::vector<moat_timed> timed_;
  std::map<std::tuple<std::uint64_t, std::uint16_t, std::uint16_t>, std::uint32_t> timed_ids_;
  std::unordered_map<std::uint64_t, std::uint32_t> steps_;
  std::uint64_t last_key_ = kNever;
  std::uint32_t last_class_ = 0;
  std::vector<WideRange> ranges_;
};

// Of a packet that is to be dropped before it is known which database it is for, and may be for
// any.
Mode mode_of_unknown(const Policy& policy) {
  const bool is_enforced = std::ranges::any_of(policy.databases, [&](const Database& database) {
    return policy.mode_of(database) == Mode::enforce;
  });
  return is_enforced ? Mode::enforce : policy.mode;
}

}  // namespace

Result<Table> compile(const Policy& policy, const SlotMap& slots, const ClockPair& clock,
                      std::uint64_t generation) {
  auto input = Compiler(policy, slots, clock).run();
  if (!input) return std::unexpected(input.error());
  input->generation = generation;
  input->monitor_unknown = mode_of_unknown(policy) == Mode::monitor;
  for (const Database& database : policy.databases)
    input->databases.push_back({slots.owner(database.id), policy.mode_of(database) == Mode::monitor,
                                database.endpoint.address, database.endpoint.all,
                                database.endpoint.ipv6 == Ipv6::closed, database.endpoint.ports});
  return build_table(*input);
}

}  // namespace moat
