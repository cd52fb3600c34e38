// SPDX-License-Identifier: BSD-2-Clause
#include "control/resolve/expectations.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace moat {
namespace {

using Matches = std::vector<std::optional<Match>>;

bool is_same_list(const ManagedRange& a, const ManagedRange& b) {
  return a.cidrs == b.cidrs || *a.cidrs == *b.cidrs;
}

const ManagedRange* find(const RangesById& ranges, std::string_view id) {
  const auto found = ranges.find(id);
  return found == ranges.end() ? nullptr : &found->second;
}

// One database with the ranges that its rules name, without what they hold down; of these, those of
// `first` that it has.
Policy listed(const Database& database, const RangesById& ranges, const RangesById* first) {
  Policy policy;
  for (const auto& rule : database.rules) {
    if (rule.managed_range.empty()) continue;
    const auto* range = first == nullptr ? nullptr : find(*first, rule.managed_range);
    if (range == nullptr) range = find(ranges, rule.managed_range);
    if (range == nullptr) continue;
    policy.ranges.insert_or_assign(
        rule.managed_range, ManagedRange{range->id, range->name, range->cidrs, range->place});
  }
  return policy;
}

std::vector<Address> sources_of(const std::vector<Expectation>& expectations) {
  std::vector<Address> sources;
  for (const auto& expectation : expectations) sources.push_back(expectation.source);
  return sources;
}

// What matches the sources of `expectations` by the rules of `database`.
Matches match(const std::vector<Expectation>& expectations, const Policy& policy,
              const Database& database, WallTime now) {
  return find_matches(policy, database, sources_of(expectations), now);
}

bool same_rules(const Database& a, const Database& b) {
  return std::ranges::equal(a.rules, b.rules,
                            [](const Rule& x, const Rule& y) {
                              return x.cidr == y.cidr && x.managed_range == y.managed_range &&
                                     x.net_peering == y.net_peering && x.expires == y.expires;
                            }) &&
         std::ranges::equal(a.peerings, b.peerings, {}, &NetPeering::cidr, &NetPeering::cidr);
}

std::string format_place(const Place& place) {
  return place.line == 0 ? place.file : fmt::format("{}:{}", place.file, place.line);
}

// "rule r-1a2b3c4d (/etc/moat/databases.d/orders.yaml:7)"
std::string name(const Match& match) {
  return fmt::format("rule {} ({})", match.rule->id, format_place(match.rule->place));
}

// One database whose rules, ranges or expectations are not what they were.
class Judge {
 public:
  Judge(const Database& database, const RangesById& ranges, const EnforcedState* last, WallTime now)
      : database_(database), ranges_(ranges), now_(now) {
    if (last == nullptr) return;
    last_ranges_ = &last->policy.ranges;
    last_ = last->policy.find(database.id);
  }

  bool has_changed() const {
    if (last_ == nullptr || !same_rules(database_, *last_)) return true;
    if (!std::ranges::equal(database_.expectations, last_->expectations,
                            [](const auto& a, const auto& b) { return a.is_same(b); }))
      return true;
    return std::ranges::any_of(database_.rules, [&](const Rule& rule) {
      if (rule.managed_range.empty()) return false;
      const auto* now = find(ranges_, rule.managed_range);
      const auto* before = find(*last_ranges_, rule.managed_range);
      return now == nullptr || before == nullptr || !is_same_list(*now, *before);
    });
  }

  std::optional<Breach> find_breach() const {
    const auto policy = listed(database_, ranges_, nullptr);
    const auto matches = match(database_.expectations, policy, database_, now_);
    const bool holds = std::ranges::equal(
        database_.expectations, matches,
        [](const auto& expectation, const auto& found) { return expectation.allowed == !!found; });
    if (holds) return std::nullopt;
    const auto with_old = listed(database_, ranges_, last_ranges_);
    const auto with_old_matches = match(database_.expectations, with_old, database_, now_);
    const auto before = last_ == nullptr ? Policy{} : listed(*last_, *last_ranges_, nullptr);
    const auto before_matches = last_ == nullptr
                                    ? Matches(matches.size())
                                    : match(database_.expectations, before, *last_, now_);
    std::optional<Breach> breach;  // of one file, whose faults are told all at once
    const auto add = [&breach](const std::string& file, Fault fault) {
      if (!breach) breach = Breach{file, {}};
      if (breach->file == file) breach->faults.push_back(std::move(fault));
    };
    for (std::size_t i = 0; i < matches.size(); ++i) {
      const auto& expectation = database_.expectations[i];
      if (expectation.allowed == matches[i].has_value()) continue;
      const bool did_hold = expectation.allowed == before_matches[i].has_value();
      if (has_same(expectation) && !did_hold) continue;  // by time, and not by this version
      if (expectation.allowed == with_old_matches[i].has_value()) {
        const auto& found = expectation.allowed ? *with_old_matches[i] : *matches[i];
        const auto& range = *find(ranges_, found.rule->managed_range);
        add(range.place.file, range_fault(expectation, found, range));
      } else {
        add(database_.place.file, own_fault(expectation, matches[i], before_matches[i]));
      }
    }
    return breach;
  }

 private:
  bool has_same(const Expectation& expectation) const {
    return last_ != nullptr && std::ranges::any_of(last_->expectations, [&](const auto& other) {
             return expectation.is_same(other);
           });
  }

  std::string why_denied(const std::optional<Match>& before) const {
    if (!before) return ", as no rule lets it in";
    const auto rule = std::ranges::find_if(
        database_.rules, [&](const Rule& candidate) { return candidate.id == before->rule->id; });
    if (rule != database_.rules.end() && rule->is_expired(now_))
      return fmt::format(", as rule {} ({}) expired {}", rule->id, format_place(rule->place),
                         format_time(*rule->expires));
    if (rule != database_.rules.end())
      return fmt::format(", as rule {} ({}) has another source", rule->id,
                         format_place(rule->place));
    return fmt::format(" since {} went", name(*before));
  }

  Fault own_fault(const Expectation& expectation, const std::optional<Match>& found,
                  const std::optional<Match>& before) const {
    Fault fault{Severity::error, expectation.place, {}, format_address(expectation.source), {}};
    if (expectation.allowed) {
      fault.message = fmt::format("{} would be denied{}", expectation.name(), why_denied(before));
      fault.remedy = "keep a rule that lets it in, or take the expectation out first";
    } else {
      fault.message = fmt::format("{} would be allowed by {} of {}", expectation.name(),
                                  format_prefix(found->prefix), name(*found));
      fault.remedy = "narrow that rule, or take the expectation out first";
    }
    return fault;
  }

  // `found`: by which it was let in, or would be.
  Fault range_fault(const Expectation& expectation, const Match& found,
                    const ManagedRange& range) const {
    Fault fault{Severity::error, range.place, {}, range.id, {}};
    const auto expects =
        fmt::format("database {} expects {} to be {} ({})", database_.id, expectation.name(),
                    expectation.allowed ? "allowed" : "denied", format_place(expectation.place));
    const auto prefix = format_prefix(found.prefix);
    if (expectation.allowed) {
      fault.message = fmt::format("{}, and it would be denied, as {} has left the managed range",
                                  expects, prefix);
      fault.remedy = fmt::format("to let it in anyhow: moat rules add --database {} --cidr {}/32",
                                 database_.id, format_address(expectation.source));
    } else {
      fault.message =
          fmt::format("{}, and {} of the managed range would let it in", expects, prefix);
      fault.remedy = fmt::format("take {} out of the managed range, or the expectation out of {}",
                                 prefix, expectation.place.file);
    }
    return fault;
  }

  const Database& database_;
  const RangesById& ranges_;
  const RangesById* last_ranges_ = nullptr;
  const Database* last_ = nullptr;
  WallTime now_;
};

std::string name_of_end(const Match& match) {
  if (match.held_down_until && match.ends() == match.held_down_until)
    return fmt::format("the hold-down of {} in {}", format_prefix(match.prefix),
                       match.rule->managed_range);
  return fmt::format("rule {}", match.rule->id);
}

// Until when a source that `match` lets in is let in by anything.
void follow(Outlook& outlook, Match match, const Policy& policy, const Database& database) {
  for (;;) {
    const auto ends = match.ends();
    outlook.ends = ends;
    if (!ends) return;
    outlook.by = name_of_end(match);
    const auto next = find_match(policy, database, outlook.expectation->source, *ends);
    if (!next) return;
    match = *next;
  }
}

}  // namespace

std::optional<Breach> find_breach(const std::map<std::string_view, const Database*>& in_force,
                                  const RangesById& ranges, const EnforcedState* last,
                                  WallTime now) {
  for (const auto& [id, database] : in_force) {
    if (database->expectations.empty()) continue;
    const Judge judge(*database, ranges, last, now);
    if (!judge.has_changed()) continue;
    if (auto breach = judge.find_breach()) return breach;
  }
  return std::nullopt;
}

std::vector<Outlook> judge_expectations(const Policy& policy, const Database& database,
                                        WallTime now) {
  std::vector<Outlook> outlooks;
  if (database.expectations.empty()) return outlooks;
  const auto matches = match(database.expectations, policy, database, now);
  for (std::size_t i = 0; i < matches.size(); ++i) {
    Outlook outlook{.expectation = &database.expectations[i], .ends = {}, .by = {}};
    outlook.holds = outlook.expectation->allowed == matches[i].has_value();
    if (matches[i] && outlook.holds) follow(outlook, *matches[i], policy, database);
    if (matches[i] && !outlook.holds) outlook.by = name(*matches[i]);
    outlooks.push_back(std::move(outlook));
  }
  return outlooks;
}

void warn_of_ends(const Policy& policy, const Database& database, WallTime now, Faults& faults) {
  for (const auto& outlook : judge_expectations(policy, database, now)) {
    if (!outlook.ends) continue;
    const auto& expectation = *outlook.expectation;
    faults.push_back({Severity::warning, expectation.place,
                      fmt::format("{} is allowed until {} alone, when {} ends", expectation.name(),
                                  format_time(*outlook.ends), outlook.by),
                      format_address(expectation.source),
                      "give that rule a later end, or add another rule"});
  }
}

}  // namespace moat
