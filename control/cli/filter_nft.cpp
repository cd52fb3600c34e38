// SPDX-License-Identifier: BSD-2-Clause
// Filter rules as nft writes them in JSON: see nft_json.h.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "control/cli/filter_rules.h"
#include "control/cli/nft_json.h"

namespace moat {
namespace {

constexpr unsigned syn_flag = 2;

// Statements that end nothing, and change nothing of what is asked here.
bool is_silent_statement(std::string_view kind) {
  return is_one_of(kind, {"counter", "log", "mangle", "ct helper", "ct timeout", "ct expectation",
                          "notrack", "flow", "dup", "secmark"});
}

// TCP flags: a word, a list of them, or one joined by |.
std::optional<unsigned> tcp_flags(const nft::Json& value) {
  constexpr std::array names = {"fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"};
  if (value.is_number_unsigned()) return value.get<unsigned>();
  if (value.is_string()) {
    const auto name = std::ranges::find(names, value.get<std::string>());
    if (name == names.end()) return std::nullopt;
    return 1u << (name - names.begin());
  }
  const auto* list = nft::member(value, "|");
  if (list == nullptr) list = &value;
  if (!list->is_array()) return std::nullopt;
  unsigned all = 0;
  for (const auto& each : *list) {
    const auto bit = tcp_flags(each);
    if (!bit) return std::nullopt;
    all |= *bit;
  }
  return all;
}

// As nft writes it: "iifname", "tcp sport", "ct mark".
std::string nft_name(const nft::Json& what) {
  if (const auto* payload = nft::member(what, "payload");
      payload != nullptr && nft::member(*payload, "field"))
    return fmt::format("{} {}", nft::text(nft::member(*payload, "protocol")),
                       nft::text(nft::member(*payload, "field")));
  if (const auto* meta = nft::member(what, "meta")) return nft::text(nft::member(*meta, "key"));
  if (const auto* ct = nft::member(what, "ct")) return "ct " + nft::text(nft::member(*ct, "key"));
  return nft::show(what);
}

std::string nft_values(const nft::Json& elements) {
  const auto& values = elements.size() == 1 ? elements[0] : elements;
  return values.is_string() ? nft::text(&values) : nft::show(values);
}

class NftFilterReader {
  using Verdict = FilterRule::Verdict;

 public:
  NftFilterReader(const nft::Json& list, const FilterQuestion& question)
      : list_(list), question_(question), sets_(list) {}

  FilterRuleset read() {
    find_iptables();
    for (const auto& object : list_) {
      if (const auto* chain = nft::member(object, "chain")) add_chain(*chain);
    }
    for (const auto& object : list_) {
      const auto* rule = nft::member(object, "rule");
      if (rule != nullptr && !left_out_.contains(nft::table_of(*rule))) add_rule(*rule);
    }
    return std::move(ruleset_);
  }

 private:
  // Of a match or a target of iptables nft tells no more than the name.
  void find_iptables() {
    for (const auto& object : list_) {
      const auto* rule = nft::member(object, "rule");
      const auto* statements = rule == nullptr ? nullptr : nft::member(*rule, "expr");
      if (statements == nullptr || !statements->is_array()) continue;
      for (const auto& statement : *statements) {
        if (nft::member(statement, "xt") == nullptr) continue;
        left_out_.insert(nft::table_of(*rule));
        ruleset_.iptables.insert(nft::text(nft::member(*rule, "family")));
      }
    }
  }

  void add_chain(const nft::Json& chain) {
    table_ = nft::table_of(chain);
    const auto family = nft::text(nft::member(chain, "family"));
    const auto hook = nft::text(nft::member(chain, "hook"));
    if (!is_one_of(family, {"ip", "inet", "netdev"}) || left_out_.contains(table_)) return;
    if (!is_one_of(nft::text(nft::member(chain, "type")), {"filter", "route"})) return;
    const bool is_output = is_one_of(hook, {"output", "postrouting", "egress"});
    if (!is_output && !is_one_of(hook, {"ingress", "prerouting", "input"})) return;
    const auto name = nft::text(nft::member(chain, "name"));
    (is_output ? ruleset_.outputs : ruleset_.bases)
        .push_back({key(name), fmt::format("table {}, chain {}: policy drop", table_, name),
                    nft::text(nft::member(chain, "policy")) != "drop",
                    nft::member(chain, "dev") != nullptr});
  }

  [[nodiscard]] std::string key(const std::string& chain) const { return table_ + " " + chain; }

  void add_rule(const nft::Json& json) {
    const auto* statements = nft::member(json, "expr");
    if (statements == nullptr || !statements->is_array()) return;
    table_ = nft::table_of(json);
    rule_ = {};
    rule_.place = nft::place_of(json);
    rule_.label = nft::text(nft::member(json, "comment"));
    chain_ = &ruleset_.chains[key(nft::text(nft::member(json, "chain")))];
    for (const auto& statement : *statements) {
      if (!statement.is_object() || statement.size() != 1) {
        rule_.ask(Certainty::unknown, nft::show(statement));
      } else if (add_statement(statement.begin().key(), statement.begin().value())) {
        return;
      }
    }
  }

  // True: what follows is for nobody.
  bool add_statement(const std::string& kind, const nft::Json& body) {
    if (kind == "match") {
      add_condition(body);
    } else if (kind == "vmap") {
      add_verdicts(body);
    } else if (const auto verdict = verdict_of(kind, body)) {
      const auto target = nft::text(nft::member(body, "target"));
      add(rule_, *verdict, target.empty() ? "" : key(target));
      return true;
    } else if (!is_silent_statement(kind) &&
               (kind != "set" || nft::member(body, "stmt") != nullptr)) {
      rule_.ask(Certainty::unknown,
                kind == "limit" ? "a rate" : fmt::format("{} {}", kind, nft::show(body)));
    }
    return false;
  }

  [[nodiscard]] static std::optional<Verdict> verdict_of(const std::string& kind,
                                                         const nft::Json& body) {
    if (kind == "accept") return Verdict::accept;
    if (kind == "drop" || kind == "reject") return Verdict::drop;
    if (kind == "return") return Verdict::back;
    if (kind == "continue") return Verdict::next;
    if (kind == "jump" && nft::member(body, "target") != nullptr) return Verdict::jump;
    if (kind == "goto" && nft::member(body, "target") != nullptr) return Verdict::go_to;
    if (is_one_of(kind, {"queue", "synproxy", "tproxy", "fwd"})) return Verdict::either;
    return std::nullopt;
  }

  void add(FilterRule rule, Verdict verdict, const std::string& target = "") {
    rule.verdict = verdict;
    rule.target = target;
    const bool lets_in =
        verdict != Verdict::next && verdict != Verdict::drop && verdict != Verdict::back;
    if (rule.is_ipv6) {
      if (lets_in && rule.rest != Certainty::no)
        ruleset_.left_out.push_back(
            {rule.place, 0, "it is about IPv6, and there are no IPv6 rules"});
      rule.rest = Certainty::no;
    }
    chain_->push_back(std::move(rule));
  }

  // A verdict for each value: as many rules, of which a packet meets one at most.
  void add_verdicts(const nft::Json& map) {
    const auto* what = nft::member(map, "key");
    const auto* data = nft::member(map, "data");
    const auto* elements = data == nullptr ? nullptr : sets_.elements_of(*data, table_);
    if (what == nullptr || elements == nullptr) {
      auto rule = rule_;
      rule.ask(Certainty::unknown, "vmap " + nft::show(map));
      return add(std::move(rule), Verdict::either);
    }
    for (const auto& element : *elements) {
      auto rule = rule_;
      const bool is_pair = element.is_array() && element.size() == 2;
      const auto* verdict = is_pair ? &nft::bare(element[1]) : nullptr;
      const bool is_known = verdict != nullptr && verdict->is_object() && verdict->size() == 1;
      const auto kind = is_known ? verdict_of(verdict->begin().key(), verdict->begin().value())
                                 : std::optional<Verdict>();
      if (is_pair) add_values(rule, *what, nft::Json::array({element[0]}), false);
      if (!kind) {
        rule.ask(Certainty::unknown, "vmap " + nft::show(map));
        add(std::move(rule), Verdict::either);
        continue;
      }
      const auto target = nft::text(nft::member(verdict->begin().value(), "target"));
      add(std::move(rule), *kind, target.empty() ? "" : key(target));
    }
  }

  void add_condition(const nft::Json& match) {
    const auto* left = nft::member(match, "left");
    const auto* right = nft::member(match, "right");
    const auto op = nft::text(nft::member(match, "op"));
    if (left == nullptr || right == nullptr) return rule_.ask(Certainty::unknown, nft::show(match));
    if (const auto answer = match_flags(*left, *right, op))
      return rule_.ask(*answer, nft::show(match));
    if (!is_one_of(op, {"==", "!=", "in"})) return ask_unknown(rule_, *left, match);
    const auto* elements = sets_.elements_of(*right, table_);
    if (elements == nullptr && nft::text(right).starts_with('@'))
      return ask_unknown(rule_, *left, match);
    if (elements == nullptr && right->is_array()) elements = right;
    add_values(rule_, *left, elements == nullptr ? nft::Json::array({*right}) : *elements,
               op == "!=");
  }

  // What another protocol has is no matter of ours, whatever its value.
  static void ask_unknown(FilterRule& rule, const nft::Json& what, const nft::Json& words) {
    rule.ask(nft::is_of_another_protocol(what) ? Certainty::no : Certainty::unknown,
             nft::show(words));
  }

  // `elements`: the values of which it has to be one, or none.
  void add_values(FilterRule& rule, const nft::Json& what, const nft::Json& elements,
                  bool is_negated) {
    if (is_source(what)) return add_sources(rule, elements, is_negated);
    if (const auto* parts = nft::member(what, "concat"); parts != nullptr && parts->is_array())
      return add_rows(rule, *parts, elements, is_negated);
    const auto words =
        fmt::format("{} {}{}", nft_name(what), is_negated ? "!= " : "", nft_values(elements));
    if (nft::is_of_another_protocol(what)) return rule.ask(Certainty::no, words);
    if (is_ipv6(what)) rule.is_ipv6 = true;
    if (is_ipv6(what)) return;
    auto answer = Certainty::no;
    for (const auto& element : elements) answer = std::max(answer, match_one(what, element));
    rule.ask(is_negated ? negate(answer) : answer, words);
  }

  static bool is_source(const nft::Json& what) {
    const auto* payload = nft::member(what, "payload");
    return payload != nullptr && nft::text(nft::member(*payload, "protocol")) == "ip" &&
           nft::text(nft::member(*payload, "field")) == "saddr";
  }

  static bool is_ipv6(const nft::Json& what) {
    const auto* payload = nft::member(what, "payload");
    return payload != nullptr && nft::text(nft::member(*payload, "protocol")) == "ip6";
  }

  // One that is in the set for a while only is in doubt.
  static bool has_end(const nft::Json& element) {
    const auto* wrapped = nft::member(element, "elem");
    return wrapped != nullptr && (nft::member(*wrapped, "timeout") != nullptr ||
                                  nft::member(*wrapped, "expires") != nullptr);
  }

  static void add_sources(FilterRule& rule, const nft::Json& elements, bool is_negated) {
    SourceTest test;
    test.is_negated = is_negated;
    for (const auto& element : elements) {
      const auto range = nft::addresses(nft::bare(element));
      if (!range)
        return rule.ask(Certainty::unknown, fmt::format("ip saddr {}", nft::show(element)));
      (has_end(element) ? test.doubtful : test.ranges).push_back(*range);
    }
    if (!test.doubtful.empty() && rule.condition.empty())
      rule.condition = "ip saddr of a set whose elements have an end";
    rule.sources.push_back(std::move(test));
  }

  // Several things at once: a source, if it is among them, counts where all else holds.
  void add_rows(FilterRule& rule, const nft::Json& parts, const nft::Json& rows, bool is_negated) {
    SourceTest test;
    test.is_negated = is_negated;
    bool has_source = false;
    auto answer = Certainty::no;
    for (const auto& element : rows) {
      const auto* row = nft::member(nft::bare(element), "concat");
      if (row == nullptr || !row->is_array() || row->size() != parts.size())
        return rule.ask(Certainty::unknown, nft::show(parts));
      FilterRule alone;
      for (std::size_t i = 0; i < parts.size(); i++)
        add_values(alone, parts[i], nft::Json::array({(*row)[i]}), false);
      if (alone.is_ipv6) continue;
      const auto matches = has_end(element) ? both(alone.rest, Certainty::unknown) : alone.rest;
      answer = std::max(answer, matches);
      if (alone.sources.size() > 1) return rule.ask(Certainty::unknown, nft::show(parts));
      for (const auto& [ranges, doubtful, negated] : alone.sources) {
        has_source = true;
        if (matches == Certainty::no) continue;
        auto& those = matches == Certainty::yes ? test.ranges : test.doubtful;
        those.insert(those.end(), ranges.begin(), ranges.end());
      }
    }
    if (!has_source) return rule.ask(is_negated ? negate(answer) : answer, nft::show(parts));
    if (!test.doubtful.empty() && rule.condition.empty()) rule.condition = nft::show(parts);
    rule.sources.push_back(std::move(test));
  }

  [[nodiscard]] Certainty match_one(const nft::Json& what, const nft::Json& element) const {
    const auto& value = nft::bare(element);
    auto answer = Certainty::unknown;
    if (const auto* payload = nft::member(what, "payload")) answer = match_payload(*payload, value);
    if (const auto* meta = nft::member(what, "meta"))
      answer = match_meta(nft::text(nft::member(*meta, "key")), value);
    if (const auto* ct = nft::member(what, "ct"))
      answer = match_conntrack(nft::text(nft::member(*ct, "key")), value);
    if (const auto* fib = nft::member(what, "fib")) answer = match_fib(*fib, value);
    return has_end(element) ? both(answer, Certainty::unknown) : answer;
  }

  [[nodiscard]] Certainty match_payload(const nft::Json& payload, const nft::Json& value) const {
    const auto field = nft::text(nft::member(payload, "field"));
    const auto protocol = nft::text(nft::member(payload, "protocol"));
    if (field == "dport" && is_one_of(protocol, {"tcp", "th"})) {
      const auto range = nft::ports(value);
      return range ? as_certainty(range->contains(question_.port)) : Certainty::unknown;
    }
    if (protocol == "ip" && field == "daddr") {
      const auto range = nft::addresses(value);
      if (!range || !question_.destination) return Certainty::unknown;
      return as_certainty(range->first <= *question_.destination &&
                          *question_.destination <= range->last);
    }
    if (protocol == "ip" && field == "protocol") return match_protocol(value);
    if (protocol == "ip" && field == "version") return as_certainty(value == 4);
    return Certainty::unknown;
  }

  static Certainty match_protocol(const nft::Json& value) {
    if (!value.is_string() && !value.is_number()) return Certainty::unknown;
    return as_certainty(value == "tcp" || value == 6);
  }

  static Certainty match_meta(const std::string& key, const nft::Json& value) {
    if (key == "l4proto") return match_protocol(value);
    if (key == "nfproto") return as_certainty(value == "ipv4" || value == 2);
    if (key == "protocol") return as_certainty(value == "ip" || value == 0x0800);
    if (key == "pkttype") return as_certainty(value == "host" || value == "unicast");
    // What the host sends to itself is not asked about.
    if ((key == "iifname" || key == "iif") && value == "lo") return Certainty::no;
    return Certainty::unknown;
  }

  // Its destination is the host's. And a source to which no route leads back, which rules against
  // forged ones ask for, is no client of anybody's.
  static Certainty match_fib(const nft::Json& fib, const nft::Json& value) {
    const auto* flags = nft::member(fib, "flags");
    if (flags == nullptr) return Certainty::unknown;
    const auto result = nft::text(nft::member(fib, "result"));
    const bool is_destination = *flags == "daddr" || *flags == nft::Json::array({"daddr"});
    if (result == "type" && is_destination && value.is_string())
      return as_certainty(value == "local");
    const bool is_way_back = *flags == nft::Json::array({"saddr", "iif"});
    if (result == "oif" && is_way_back && value == false) return Certainty::no;
    return Certainty::unknown;
  }

  static Certainty match_conntrack(const std::string& key, const nft::Json& value) {
    if (key == "state" && value.is_string()) return as_certainty(value == "new");
    if (key == "direction") return as_certainty(value == "original" || value == 0);
    if (key == "status")
      return value == "dnat" || value == "snat" ? Certainty::unknown : Certainty::no;
    return Certainty::unknown;
  }

  // Those of a SYN. Nothing: it asks for something else.
  static std::optional<Certainty> match_flags(const nft::Json& left, const nft::Json& right,
                                              const std::string& op) {
    const auto* masked = nft::member(left, "&");
    const bool is_masked = masked != nullptr && masked->is_array() && masked->size() == 2;
    const auto* payload = nft::member(is_masked ? (*masked)[0] : left, "payload");
    if (payload == nullptr || nft::text(nft::member(*payload, "protocol")) != "tcp" ||
        nft::text(nft::member(*payload, "field")) != "flags")
      return std::nullopt;
    const auto mask = is_masked ? tcp_flags((*masked)[1]) : ~0u;
    const auto wanted = tcp_flags(right);
    if (!mask || !wanted) return Certainty::unknown;
    if (op == "==") return as_certainty((syn_flag & *mask) == *wanted);
    if (op == "!=") return as_certainty((syn_flag & *mask) != *wanted);
    if (op == "in") return as_certainty((syn_flag & *mask & *wanted) != 0);
    return Certainty::unknown;
  }

  const nft::Json& list_;
  FilterQuestion question_;
  nft::NamedSets sets_;
  FilterRuleset ruleset_;
  std::set<std::string> left_out_;  // tables

  // Of the rule that is being read.
  std::string table_;
  FilterRule rule_;
  std::vector<FilterRule>* chain_ = nullptr;
};

}  // namespace

std::expected<FilterRuleset, std::string> parse_nft_filter(std::string_view json,
                                                           const FilterQuestion& question) {
  const auto list = nft::parse_ruleset(json);
  if (!list) return std::unexpected(list.error());
  return NftFilterReader(*list, question).read();
}

}  // namespace moat
