// SPDX-License-Identifier: BSD-2-Clause
// Which sources the filter rules of another firewall let open a TCP connection to one port.
//
//   `nft -j list ruleset` --> parse_nft_filter ------+
//   `iptables-save` --------> parse_iptables_filter -+-> FilterRuleset --> FilterWalk --> a decision
//   other files ------------> import_... ------------+                                    for a source
//
// What a rule asks beside the source is answered as it is read: yes, no, or unknown (an interface,
// a rate, a mark). A rule that may or may not match leaves both ways open, so a decision says what
// can happen, and only one with a single way is certain.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "control/cli/address_range.h"

namespace moat {

enum class Certainty { no, unknown, yes };
[[nodiscard]] Certainty both(Certainty a, Certainty b);
[[nodiscard]] Certainty negate(Certainty match);
[[nodiscard]] Certainty as_certainty(bool holds);

// Readers of rules ask this of many words.
[[nodiscard]] bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words);

// The packet that rules are asked about: a SYN, by IPv4, to this port.
struct FilterQuestion {
  std::uint16_t port = 0;
  std::optional<Address> destination;  // nothing: some address of the host
};

// The source is, or is not, one of these.
struct SourceTest {
  std::vector<AddressRange> ranges;
  std::vector<AddressRange> doubtful;  // are in the set for a while, say
  bool is_negated = false;

  [[nodiscard]] Certainty match(Address source) const;
};

struct FilterRule {
  // back: to the chain that led here; either: it passes or is dropped, which is not known.
  enum class Verdict { next, accept, drop, jump, go_to, back, either };
  Verdict verdict = Verdict::next;
  std::string target;  // of jump and go_to: a chain
  std::vector<SourceTest> sources;
  Certainty rest = Certainty::yes;  // what it asks beside the source
  std::string condition;            // the first that is unknown, in the rule's words
  bool is_ipv6 = false;             // it is about IPv6 alone; `rest` leaves that out
  std::string place;                // for a person to find it
  unsigned line = 0;                // in a file; 0: it has none
  std::string label;

  [[nodiscard]] Certainty match(Address source) const;
  // One more thing that it asks; `words` are kept if the answer is unknown.
  void ask(Certainty answer, std::string_view words);
};

struct FilterRuleset {
  struct Base {
    std::string chain;
    std::string place;
    bool accepts = true;        // what no rule of it decides
    bool is_elsewhere = false;  // it may not meet the packet: of one device, say
  };
  std::map<std::string, std::vector<FilterRule>> chains;
  std::vector<Base> bases;         // the packet meets all of them
  std::vector<Base> outputs;       // what the host answers meets these; FilterWalk does not
  std::set<std::string> iptables;  // families with rules that iptables has to be asked for: "ip"
  // What the reader could not make rules of, though it may let somebody in.
  struct LeftOut {
    std::string place;
    unsigned line = 0;
    std::string why;
  };
  std::vector<LeftOut> left_out;

  // Whether some rule, or a policy, of `outputs` drops anything, whatever it asks.
  [[nodiscard]] bool may_drop_answers() const;
};

struct FilterDecision {
  bool can_pass = false;
  bool can_drop = false;
  const FilterRule* passed_by =
      nullptr;  // the first that may let it in; null: a base chain's policy
  const FilterRule* dropped_by = nullptr;  // the first that may drop it
  std::string dropped_at;                  // without one: the chain whose policy does
  std::vector<const FilterRule*> doubts;   // those that may or may not match, as they are met

  [[nodiscard]] bool passes() const { return can_pass && !can_drop; }
  [[nodiscard]] bool is_dropped() const { return can_drop && !can_pass; }
};

// Walks the chains. Chains that lead to themselves are cut, as the kernel takes none, and after
// max_steps rules in all nothing is certain any more.
class FilterWalk {
 public:
  explicit FilterWalk(const FilterRuleset& ruleset) : ruleset_(ruleset) {}

  [[nodiscard]] FilterDecision judge(Address source);
  [[nodiscard]] bool is_exhausted() const { return steps_left_ == 0; }

  static constexpr std::size_t max_steps = 4'000'000;

 private:
  struct Outcome {
    bool accept = false;
    bool drop = false;
    bool fall = false;  // to the rule after the one that led here
  };
  Outcome follow(const std::string& chain);
  void walk(const std::vector<FilterRule>& rules, Outcome& outcome);
  [[nodiscard]] bool take(const FilterRule& rule, bool is_certain, Outcome& outcome);
  [[nodiscard]] bool lead(const FilterRule& rule, bool is_certain, Outcome& outcome);

  const FilterRuleset& ruleset_;
  Address source_{};
  FilterDecision decision_;
  bool is_passed_for_sure_ = false;
  std::set<std::string> above_;
  std::size_t steps_left_ = max_steps;
};

// Base chains at ingress, prerouting and input. Tables that iptables made are left to it, see
// `iptables`. The error says what is not as it should be.
[[nodiscard]] std::expected<FilterRuleset, std::string> parse_nft_filter(
    std::string_view json, const FilterQuestion& question);

// Of iptables-save: its own base chains; or of a file for iptables-restore, of ufw say, with `base`
// the one chain of the table filter that is met, which drops what it does not decide.
[[nodiscard]] std::expected<FilterRuleset, std::string> parse_iptables_filter(
    std::string_view text, const FilterQuestion& question, const std::string& base = "");

}  // namespace moat
