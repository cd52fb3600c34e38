// SPDX-License-Identifier: BSD-2-Clause
// A ruleset compares a source with the ends of the ranges that its rules name, and with nothing
// else. So all addresses between two neighbouring ends have one fate, and asking about the first of
// each such span asks about every address there is.
#include "control/cli/import_rules.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <map>
#include <optional>

#include "control/text/input_limits.h"
#include "control/text/utf8.h"

namespace moat {
namespace {

constexpr std::size_t max_spans = 20'000;  // of a list that long, a managed range is to be made
constexpr std::size_t max_listed = 3;      // CIDRs in a sentence

// Addresses as numbers, the last one included; 64 bits for the one after the last address.
struct AddressSpan {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};
using AddressSpans = std::vector<AddressSpan>;

// The first addresses of the spans, and the one after the last address.
std::optional<std::vector<std::uint64_t>> find_ends(const FilterRuleset& ruleset) {
  std::vector<std::uint64_t> ends{0, std::uint64_t{1} << 32};
  for (const auto& [name, rules] : ruleset.chains) {
    for (const auto& rule : rules) {
      if (rule.rest == Certainty::no) continue;
      for (const auto& test : rule.sources) {
        for (const auto* ranges : {&test.ranges, &test.doubtful}) {
          for (const auto& [first, last] : *ranges) {
            ends.push_back(first.value);
            ends.push_back(std::uint64_t{last.value} + 1);
          }
        }
        if (ends.size() > 16 * max_spans) return std::nullopt;
      }
    }
  }
  std::ranges::sort(ends);
  const auto rest = std::ranges::unique(ends);
  ends.erase(rest.begin(), rest.end());
  if (ends.size() > max_spans) return std::nullopt;
  return ends;
}

// The largest networks that make up the span.
std::vector<Prefix> as_prefixes(AddressSpan span) {
  std::vector<Prefix> prefixes;
  while (span.first <= span.last) {
    unsigned bits = span.first == 0 ? 32 : std::min(32, std::countr_zero(span.first));
    while (span.first + (std::uint64_t{1} << bits) - 1 > span.last) bits--;
    prefixes.push_back(
        {Address(static_cast<std::uint32_t>(span.first)), static_cast<std::uint8_t>(32 - bits)});
    span.first += std::uint64_t{1} << bits;
  }
  return prefixes;
}

std::string list_networks(const AddressSpans& spans) {
  std::vector<std::string> texts;
  std::size_t more = 0;
  for (const auto span : spans) {
    for (const auto prefix : as_prefixes(span)) {
      if (texts.size() < max_listed)
        texts.push_back(format_prefix(prefix));
      else
        more++;
    }
  }
  return fmt::format("{}{}", fmt::join(texts, ", "),
                     more > 0 ? fmt::format(" and {} more", more) : "");
}

std::string place_in(const std::string& file, unsigned line, const std::string& place) {
  if (line == 0) return fmt::format("{}: {}", file, place);
  return fmt::format("{}:{}: {}", file, line, place);
}

bool is_loopback_net(AddressSpan span) {
  return span.first >= 127u << 24 && span.last < 128u << 24;
}

class TakeOver {
 public:
  TakeOver(const FilterRuleset& ruleset, const std::string& file)
      : ruleset_(ruleset), file_(file) {}

  std::expected<Imported, std::string> run() {
    for (const auto& [place, line, why] : ruleset_.left_out)
      tell(place_in(file_, line, place), why);
    const auto ends = find_ends(ruleset_);
    if (!ends) return std::unexpected("it names too many networks: make a managed range of them");
    FilterWalk walk(ruleset_);
    for (std::size_t i = 0; i + 1 < ends->size(); i++) {
      sort(walk.judge(Address(static_cast<std::uint32_t>((*ends)[i]))),
           {(*ends)[i], (*ends)[i + 1] - 1});
      if (walk.is_exhausted())
        return std::unexpected("its chains lead on in more ways than can be followed");
    }
    for (const auto& [rule, spans] : passing_) add_rules(*rule, close_gaps(spans));
    std::ranges::stable_sort(imported_.rules, {}, &Imported::Rule::cidr);
    const auto rest = std::ranges::unique(imported_.rules, {}, &Imported::Rule::cidr);
    imported_.rules.erase(rest.begin(), rest.end());
    tell_of_rest();
    return std::move(imported_);
  }

 private:
  void tell(const std::string& what, const std::string& why) {
    imported_.left_out.push_back(printable(fmt::format("{}: {}", what, why)));
  }

  static void add(AddressSpans& spans, AddressSpan span) {
    if (!spans.empty() && spans.back().last == span.last) return;
    if (!spans.empty() && spans.back().last + 1 == span.first)
      spans.back().last = span.last;
    else
      spans.push_back(span);
  }

  void sort(const FilterDecision& decision, AddressSpan span) {
    if (decision.passes()) {
      add(passing_all_, span);
      add(decision.passed_by == nullptr ? by_policy_ : passing_[decision.passed_by], span);
    } else if (decision.can_pass) {
      // Each of them: what one of them hides, another may name alone.
      for (const auto* rule : decision.doubts) add(in_doubt_[rule], span);
      if (decision.doubts.empty()) add(in_doubt_[decision.dropped_by], span);
    }
  }

  [[nodiscard]] bool is_passing(AddressSpan span) const {
    return std::ranges::any_of(passing_all_, [&](AddressSpan all) {
      return all.first <= span.first && span.last <= all.last;
    });
  }

  // A network that another rule lets in a part of stays whole.
  [[nodiscard]] AddressSpans close_gaps(const AddressSpans& spans) const {
    AddressSpans closed;
    for (const auto span : spans) {
      if (!closed.empty() && is_passing({closed.back().last + 1, span.first - 1}))
        closed.back().last = span.last;
      else
        closed.push_back(span);
    }
    return closed;
  }

  void add_rules(const FilterRule& rule, const AddressSpans& spans) {
    for (const auto span : spans) {
      if (is_loopback_net(span)) {
        tell(place_in(file_, rule.line, rule.place), "the host reaches itself without a rule");
        continue;
      }
      for (const auto prefix : as_prefixes(span))
        imported_.rules.push_back({prefix, as_label(rule)});
    }
  }

  static std::string as_label(const FilterRule& rule) {
    return shorten(printable(rule.label), limits::label_bytes - 3);
  }

  void tell_of_rest() {
    for (const auto& [rule, spans] : in_doubt_) {
      const auto where = rule == nullptr ? file_ : place_in(file_, rule->line, rule->place);
      const auto why = rule == nullptr || rule->condition.empty()
                           ? std::string("not every packet meets it")
                           : "it asks for " + rule->condition;
      tell(where, fmt::format("{} ({})", shorten(why, 300), list_networks(spans)));
    }
    if (!by_policy_.empty())
      tell(file_,
           fmt::format("what no rule there decides passes: {}. Here only what a rule names does",
                       list_networks(by_policy_)));
    for (std::size_t i = limits::rules; i < imported_.rules.size(); i++) {
      tell(fmt::format("{} {}", format_prefix(imported_.rules[i].cidr), imported_.rules[i].label),
           fmt::format("a database has {} rules at most: merge CIDRs, or make a managed range",
                       limits::rules));
    }
    if (imported_.rules.size() > limits::rules) imported_.rules.resize(limits::rules);
  }

  // In the order of the ruleset, so that the same input gives the same output.
  struct ByPlace {
    bool operator()(const FilterRule* a, const FilterRule* b) const {
      if (a == nullptr || b == nullptr) return b != nullptr;
      return std::tie(a->line, a->place, a) < std::tie(b->line, b->place, b);
    }
  };
  const FilterRuleset& ruleset_;
  const std::string& file_;
  Imported imported_;
  AddressSpans passing_all_;
  AddressSpans by_policy_;
  std::map<const FilterRule*, AddressSpans, ByPlace> passing_;
  std::map<const FilterRule*, AddressSpans, ByPlace> in_doubt_;
};

}  // namespace

std::expected<Imported, std::string> take_over(const FilterRuleset& ruleset,
                                               const std::string& file) {
  if (ruleset.bases.empty() && !ruleset.iptables.empty())
    return std::unexpected(
        "what filters there is of iptables: give `moat import iptables` what iptables-save prints");
  if (ruleset.bases.empty()) return std::unexpected("nothing there filters what comes in");
  return TakeOver(ruleset, file).run();
}

}  // namespace moat
