// SPDX-License-Identifier: BSD-2-Clause
#include "control/cli/filter_rules.h"

#include <algorithm>

namespace moat {
namespace {

constexpr std::size_t max_chain_depth = 64;  // of chains; the kernel takes 16 of nft

bool is_within(const std::vector<AddressRange>& ranges, Address source) {
  return std::ranges::any_of(ranges, [&](const AddressRange& range) {
    return range.first <= source && source <= range.last;
  });
}

}  // namespace

Certainty both(Certainty a, Certainty b) { return std::min(a, b); }

Certainty as_certainty(bool holds) { return holds ? Certainty::yes : Certainty::no; }

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::ranges::find(words, word) != words.end();
}

Certainty negate(Certainty match) {
  if (match == Certainty::unknown) return match;
  return match == Certainty::yes ? Certainty::no : Certainty::yes;
}

Certainty SourceTest::match(Address source) const {
  if (is_within(doubtful, source)) return Certainty::unknown;
  return is_within(ranges, source) != is_negated ? Certainty::yes : Certainty::no;
}

Certainty FilterRule::match(Address source) const {
  auto matches = rest;
  for (const auto& test : sources) {
    if (matches == Certainty::no) break;
    matches = both(matches, test.match(source));
  }
  return matches;
}

void FilterRule::ask(Certainty answer, std::string_view words) {
  rest = both(rest, answer);
  if (answer == Certainty::unknown && condition.empty()) condition = words;
}

bool FilterRuleset::may_drop_answers() const {
  std::vector<std::string> reached;
  for (const auto& base : outputs) {
    if (!base.accepts) return true;
    reached.push_back(base.chain);
  }
  std::set<std::string> seen;
  while (!reached.empty()) {
    const auto chain = chains.find(reached.back());
    reached.pop_back();
    if (chain == chains.end() || !seen.insert(chain->first).second) continue;
    for (const auto& rule : chain->second) {
      using Verdict = FilterRule::Verdict;
      if (rule.verdict == Verdict::drop || rule.verdict == Verdict::either) return true;
      if (!rule.target.empty()) reached.push_back(rule.target);
    }
  }
  return false;
}

FilterDecision FilterWalk::judge(Address source) {
  source_ = source;
  decision_ = {};
  is_passed_for_sure_ = false;
  decision_.can_pass = true;
  for (const auto& base : ruleset_.bases) {
    auto outcome = follow(base.chain);
    if (outcome.fall && !base.accepts && decision_.dropped_by == nullptr &&
        decision_.dropped_at.empty()) {
      decision_.dropped_at = base.place;
    }
    if (outcome.fall) (base.accepts ? outcome.accept : outcome.drop) = true;
    decision_.can_drop |= outcome.drop;
    decision_.can_pass &= outcome.accept || base.is_elsewhere;
    if (!decision_.can_pass) break;
  }
  return decision_;
}

FilterWalk::Outcome FilterWalk::follow(const std::string& chain) {
  Outcome outcome;
  const auto entry = ruleset_.chains.find(chain);
  if (entry == ruleset_.chains.end()) return {.fall = true};  // a chain without rules
  if (above_.size() == max_chain_depth || !above_.insert(chain).second)
    return {.accept = true, .drop = true, .fall = true};
  walk(entry->second, outcome);
  above_.erase(chain);
  return outcome;
}

void FilterWalk::walk(const std::vector<FilterRule>& rules, Outcome& outcome) {
  for (const auto& rule : rules) {
    if (steps_left_ == 0) outcome.accept = outcome.drop = true;
    if (steps_left_ == 0) return;
    steps_left_--;
    const auto matches = rule.match(source_);
    if (matches == Certainty::no) continue;
    const bool is_certain = matches == Certainty::yes;
    if (rule.verdict != FilterRule::Verdict::next && !is_certain) decision_.doubts.push_back(&rule);
    if (!take(rule, is_certain, outcome)) return;
  }
  outcome.fall = true;
}

// False: no packet gets to the rule after it.
bool FilterWalk::take(const FilterRule& rule, bool is_certain, Outcome& outcome) {
  using Verdict = FilterRule::Verdict;
  const bool passes = rule.verdict == Verdict::accept || rule.verdict == Verdict::either;
  const bool drops = rule.verdict == Verdict::drop || rule.verdict == Verdict::either;
  if (passes && (decision_.passed_by == nullptr || (is_certain && !is_passed_for_sure_))) {
    decision_.passed_by = &rule;
    is_passed_for_sure_ = is_certain;
  }
  if (drops && decision_.dropped_by == nullptr) decision_.dropped_by = &rule;
  outcome.accept |= passes;
  outcome.drop |= drops;
  if (rule.verdict == Verdict::back) outcome.fall = true;
  if (rule.verdict == Verdict::jump || rule.verdict == Verdict::go_to)
    return lead(rule, is_certain, outcome);
  return rule.verdict == Verdict::next || !is_certain;
}

bool FilterWalk::lead(const FilterRule& rule, bool is_certain, Outcome& outcome) {
  const auto there = follow(rule.target);
  outcome.accept |= there.accept;
  outcome.drop |= there.drop;
  if (rule.verdict == FilterRule::Verdict::go_to) {
    outcome.fall |= there.fall;
    return !is_certain;
  }
  return !is_certain || there.fall;
}

}  // namespace moat
