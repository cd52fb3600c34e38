// SPDX-License-Identifier: BSD-2-Clause
#include "control/resolve/prefix_budget.h"

#include <algorithm>
#include <set>

#include "control/text/input_limits.h"

namespace moat {
namespace {

bool is_of_range(const Rule& rule) { return rule.kind() == SourceKind::managed_range; }

std::size_t count_own(const Database& database) {
  return database.rules.size() -
         static_cast<std::size_t>(std::ranges::count_if(database.rules, is_of_range));
}

template <typename Databases>
std::set<std::string_view> range_names(const Databases& databases) {
  std::set<std::string_view> names;
  for (const Database* database : databases) {
    for (const auto& rule : database->rules) {
      if (is_of_range(rule)) names.insert(rule.managed_range);
    }
  }
  return names;
}

std::size_t size_in(const std::map<std::string, ManagedRange, std::less<>>& ranges,
                    std::string_view id) {
  const auto found = ranges.find(id);
  return found == ranges.end() ? 0 : found->second.cidrs->size();
}

class Budget {
 public:
  Budget(const std::map<std::string_view, const Database*>& in_force, const ResolvedRanges& supply,
         const EnforcedState* last)
      : ranges_(supply), last_(last) {
    for (const auto& entry : in_force) databases_.push_back(entry.second);
    names_ = range_names(databases_);
    if (last == nullptr) return;
    std::vector<const Database*> old;
    for (const auto& database : last->policy.databases) old.push_back(&database);
    old_names_ = range_names(old);
  }

  std::size_t total() const {
    std::size_t sum = 0;
    for (const auto* database : databases_) sum += count_own(*database);
    for (const auto name : names_) sum += size_in(ranges_.ranges, name);
    return sum;
  }

  const ManagedRange* largest() const {
    const ManagedRange* largest = nullptr;
    for (const auto name : names_) {
      const auto range = ranges_.ranges.find(name);
      if (range == ranges_.ranges.end()) continue;
      if (largest == nullptr || range->second.cidrs->size() > largest->cidrs->size())
        largest = &range->second;
    }
    return largest;
  }

  // A range that was in force has grown through its file; one that was not, through who names it.
  std::map<std::string, std::size_t> growth_by_file() const {
    std::map<std::string, std::size_t> growth;
    for (const auto name : names_) {
      if (!old_names_.contains(name)) continue;
      const auto& range = ranges_.ranges.find(name)->second;
      add(growth[range.place.file], size_in(last_->policy.ranges, name), range.cidrs->size());
    }
    for (const auto* database : databases_) {
      const auto* old = last_ == nullptr ? nullptr : last_->policy.find(database->id);
      auto& brought = growth[database->place.file];
      if (old == database) continue;  // carried over
      add(brought, old == nullptr ? 0 : count_own(*old), count_own(*database));
      for (const auto name : range_names(std::vector{database})) {
        if (!old_names_.contains(name)) brought += size_in(ranges_.ranges, name);
      }
    }
    return growth;
  }

 private:
  static void add(std::size_t& sum, std::size_t before, std::size_t now) {
    if (now > before) sum += now - before;
  }

  const ResolvedRanges& ranges_;
  const EnforcedState* last_;
  std::vector<const Database*> databases_;
  std::set<std::string_view> names_;
  std::set<std::string_view> old_names_;
};

}  // namespace

std::size_t count_prefixes(const std::map<std::string_view, const Database*>& in_force,
                           const ResolvedRanges& supply) {
  return Budget(in_force, supply, nullptr).total();
}

std::optional<PrefixOverrun> find_overrun(
    const std::map<std::string_view, const Database*>& in_force, const ResolvedRanges& supply,
    const EnforcedState* last) {
  const Budget budget(in_force, supply, last);
  const auto total = budget.total();
  if (total <= limits::prefixes) return std::nullopt;
  PrefixOverrun overrun{total, 0, {}, budget.largest()};
  for (const auto& [file, growth] : budget.growth_by_file()) {
    if (growth <= overrun.growth) continue;
    overrun.growth = growth;
    overrun.file = file;
  }
  return overrun;
}

}  // namespace moat
