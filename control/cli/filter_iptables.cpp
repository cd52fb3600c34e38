// SPDX-License-Identifier: BSD-2-Clause
// Filter rules as iptables-save writes them, and as ufw has them in user.rules:
//
//   ### tuple ### allow tcp 5432 0.0.0.0/0 any 203.0.113.0/24 in comment=6f6666696365
//   -A ufw-user-input -p tcp --dport 5432 -s 203.0.113.0/24 -j ACCEPT
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "control/cli/filter_rules.h"
#include "control/cli/iptables_text.h"

namespace moat {
namespace {

std::vector<std::string_view> split_list(std::string_view text) {
  std::vector<std::string_view> parts;
  while (true) {
    const auto comma = std::min(text.find(','), text.size());
    parts.push_back(text.substr(0, comma));
    if (comma == text.size()) return parts;
    text.remove_prefix(comma + 1);
  }
}

// ufw keeps a rule's comment in hexadecimal digits.
std::string from_hex(std::string_view digits) {
  constexpr std::string_view all = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    const auto high = all.find(digits[i]);
    const auto low = all.find(digits[i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return {};
    text.push_back(static_cast<char>(high << 4 | low));
  }
  return text;
}

// One "-A" line.
class FilterLineReader {
  using Verdict = FilterRule::Verdict;

 public:
  FilterLineReader(std::string_view line, const FilterQuestion& question)
      : words_(split_words(line)), question_(question) {}

  // False: it is none.
  bool read(FilterRule& rule, std::string& chain) {
    if (words_.size() < 2) return false;
    chain = words_[1];
    rule_ = &rule;
    bool is_negated = false;
    for (at_ = 2; at_ < words_.size(); at_++) {
      if (words_[at_] == "!") {
        is_negated = true;
        continue;
      }
      read_option(words_[at_], is_negated);
      is_negated = false;
    }
    return true;
  }

 private:
  std::string next() { return at_ + 1 < words_.size() ? words_[++at_] : std::string(); }

  void read_option(const std::string& option, bool is_negated) {
    if (option == "-j" || option == "-g") {
      read_target(next(), option == "-g");
    } else if (option == "-s" || option == "--src-range") {
      ask_source(option, next(), is_negated);
    } else if (option == "-m" && at_ + 1 < words_.size() && is_known_match(words_[at_ + 1])) {
      next();
    } else if (option == "--comment") {
      rule_->label = next();
    } else {
      ask(option, is_negated);
    }
  }

  // Those whose options are read below, or ask for nothing.
  static bool is_known_match(std::string_view name) {
    return is_one_of(name,
                     {"tcp", "comment", "conntrack", "state", "multiport", "addrtype", "iprange"});
  }

  void ask(const std::string& option, bool is_negated) {
    auto words = option;
    auto answer = Certainty::unknown;
    if (option == "--syn") {
      answer = Certainty::yes;
    } else if (option == "-f") {
      answer = Certainty::no;
    } else if (option == "--tcp-flags") {
      const auto mask = next();
      const auto wanted = next();
      words += " " + mask + " " + wanted;
      answer = match_flags(mask, wanted);
    } else if (at_ + 1 < words_.size() && !words_[at_ + 1].starts_with('-') &&
               words_[at_ + 1] != "!") {
      const auto value = next();
      words += " " + value;
      answer = answer_for(option, value);
    }
    rule_->ask(is_negated ? negate(answer) : answer, (is_negated ? "! " : "") + words);
  }

  [[nodiscard]] Certainty answer_for(const std::string& option, const std::string& value) const {
    if (option == "-p") return as_certainty(is_one_of(value, {"tcp", "6", "all", "0"}));
    if (option == "--dport" || option == "--dports") return match_ports(value);
    if (option == "-i" && value == "lo") return Certainty::no;
    if (option == "--ctstate" || option == "--state") {
      const auto states = split_list(value);
      if (std::ranges::find(states, "NEW") != states.end()) return Certainty::yes;
      const auto is_rare = [](std::string_view state) {
        return is_one_of(state, {"DNAT", "SNAT"});
      };
      return std::ranges::any_of(states, is_rare) ? Certainty::unknown : Certainty::no;
    }
    if (option == "--dst-type" && is_one_of(value, {"LOCAL", "UNICAST", "BROADCAST", "MULTICAST"}))
      return as_certainty(value == "LOCAL");
    if (option == "-d") {
      const auto range = parse_network(value);
      if (!range || !question_.destination) return Certainty::unknown;
      return as_certainty(range->first <= *question_.destination &&
                          *question_.destination <= range->last);
    }
    return Certainty::unknown;
  }

  [[nodiscard]] Certainty match_ports(const std::string& value) const {
    const auto ports = parse_port_list(value);
    if (!ports) return Certainty::unknown;
    return as_certainty(std::ranges::any_of(
        *ports, [&](PortRange range) { return range.contains(question_.port); }));
  }

  // Those of a SYN.
  static Certainty match_flags(std::string_view mask, std::string_view wanted) {
    const auto has_syn = [](std::string_view list) {
      const auto names = split_list(list);
      return list == "ALL" || std::ranges::find(names, "SYN") != names.end();
    };
    const bool is_syn_alone = wanted == "SYN" || (wanted == "NONE" && !has_syn(mask));
    return as_certainty(is_syn_alone && has_syn(mask) == has_syn(wanted));
  }

  void ask_source(const std::string& option, const std::string& value, bool is_negated) {
    auto range = parse_network(value);
    if (option == "--src-range") {
      const auto dash = std::min(value.find('-'), value.size());
      const auto first = parse_network(value.substr(0, dash));
      const auto last = parse_network(dash == value.size() ? value : value.substr(dash + 1));
      range.reset();
      if (first && last && first->first <= last->last)
        range = AddressRange{first->first, last->last};
    }
    if (!range) return rule_->ask(Certainty::unknown, option + " " + value);
    rule_->sources.push_back({{*range}, {}, is_negated});
  }

  void read_target(const std::string& name, bool is_goto) {
    if (name == "ACCEPT") {
      rule_->verdict = Verdict::accept;
    } else if (name == "DROP" || name == "REJECT") {
      rule_->verdict = Verdict::drop;
    } else if (name == "RETURN") {
      rule_->verdict = Verdict::back;
    } else if (!is_silent(name)) {
      rule_->verdict = is_goto ? Verdict::go_to : Verdict::jump;
      rule_->target = name;
    }
    // What follows is the target's own, other than of a verdict or a chain, which take nothing.
    if (is_silent(name) || name == "REJECT") at_ = words_.size();
  }

  // Targets after which the next rule is asked.
  static bool is_silent(std::string_view name) {
    return is_one_of(name,
                     {"LOG",     "NFLOG",    "ULOG",  "MARK",        "CONNMARK",    "TRACE",
                      "NOTRACK", "CT",       "AUDIT", "SECMARK",     "CONNSECMARK", "CLASSIFY",
                      "TOS",     "DSCP",     "TTL",   "TCPMSS",      "SET",         "RATEEST",
                      "TEE",     "CHECKSUM", "HMARK", "TCPOPTSTRIP", "ECN"});
  }

  std::vector<std::string> words_;
  FilterQuestion question_;
  FilterRule* rule_ = nullptr;
  std::size_t at_ = 0;
};

class FilterFileReader {
  using Verdict = FilterRule::Verdict;

 public:
  explicit FilterFileReader(const FilterQuestion& question) : question_(question) {}

  bool is_whole = false;  // some table ends as it should

  void read(std::string_view line) {
    line_++;
    if (line.ends_with('\r')) line.remove_suffix(1);
    constexpr std::string_view tuple = "### tuple ###";
    if (line.starts_with('*')) {
      table_ = line.substr(1);
    } else if (line == "COMMIT") {
      is_whole = true;
    } else if (line.starts_with(':')) {
      add_chain(line.substr(1));
    } else if (line.starts_with(tuple)) {
      const auto comment = line.find(" comment=");
      label_ = comment == std::string_view::npos
                   ? std::string()
                   : from_hex(line.substr(comment + std::string_view(" comment=").size()));
    } else if (line.starts_with("-A ")) {
      add_rule(line);
    }
  }

  // `base`: of the table filter, the only one that is met; empty: those of iptables.
  FilterRuleset take(const std::string& base) {
    if (!base.empty()) {
      ruleset_.bases = {{"filter " + base, "", false, false}};
    } else {
      add_bases();
    }
    find_targets();
    return std::move(ruleset_);
  }

 private:
  [[nodiscard]] std::string key(std::string_view chain) const {
    return fmt::format("{} {}", table_, chain);
  }

  // "INPUT DROP [0:0]"
  void add_chain(std::string_view text) {
    const auto words = split_words(text);
    if (words.size() < 2) return;
    (void)ruleset_.chains[key(words[0])];
    if (words[1] == "DROP") closed_.insert(key(words[0]));
  }

  void add_rule(std::string_view text) {
    FilterRule rule;
    std::string chain;
    rule.place = fmt::format("table {}, {}", table_, text);
    rule.line = line_;
    if (!FilterLineReader(text, question_).read(rule, chain)) return;
    if (!label_.empty()) rule.label = label_;
    if (!rule.target.empty()) rule.target = key(rule.target);
    ruleset_.chains[key(chain)].push_back(std::move(rule));
  }

  void add_bases() {
    constexpr std::array all = {"raw PREROUTING",     "mangle PREROUTING", "mangle INPUT",
                                "filter INPUT",       "raw OUTPUT",        "mangle OUTPUT",
                                "mangle POSTROUTING", "filter OUTPUT"};
    for (const std::string chain : all) {
      if (!ruleset_.chains.contains(chain)) continue;
      const auto space = chain.find(' ');
      const bool is_output = chain.ends_with("OUTPUT") || chain.ends_with("POSTROUTING");
      (is_output ? ruleset_.outputs : ruleset_.bases)
          .push_back({chain,
                      fmt::format("table {}, chain {}: policy DROP", chain.substr(0, space),
                                  chain.substr(space + 1)),
                      !closed_.contains(chain), false});
    }
  }

  // A target that is no chain of the file is one that is not known here.
  void find_targets() {
    for (auto& [name, rules] : ruleset_.chains) {
      for (auto& rule : rules) {
        const bool leads = rule.verdict == Verdict::jump || rule.verdict == Verdict::go_to;
        if (leads && !ruleset_.chains.contains(rule.target)) {
          rule.ask(Certainty::unknown, "-j " + rule.target.substr(rule.target.find(' ') + 1));
          rule.verdict = Verdict::either;
        }
      }
    }
  }

  FilterQuestion question_;
  FilterRuleset ruleset_;
  std::set<std::string> closed_;  // base chains that drop what they do not decide
  std::string table_;
  std::string label_;
  unsigned line_ = 0;
};

}  // namespace

std::expected<FilterRuleset, std::string> parse_iptables_filter(std::string_view text,
                                                                const FilterQuestion& question,
                                                                const std::string& base) {
  FilterFileReader reader(question);
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    reader.read(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  if (!reader.is_whole) return std::unexpected("it has no whole table");
  auto ruleset = reader.take(base);
  if (!base.empty() && !ruleset.chains.contains("filter " + base))
    return std::unexpected(fmt::format("it has no chain {}", base));
  return ruleset;
}

}  // namespace moat
