// SPDX-License-Identifier: BSD-2-Clause
// NAT rules as iptables-save writes them: "*nat", then a line for each chain and rule.
//
//   -A DOCKER ! -i docker0 -p tcp -m tcp --dport 5400 -j DNAT --to-destination 172.17.0.2:5432
//   -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE --to-ports 5433-65535
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "control/cli/iptables_text.h"
#include "control/cli/nat_rules.h"

namespace moat {
namespace {

// One "-A" line.
class LineReader {
 public:
  LineReader(std::string_view line, bool ipv6) : words_(split_words(line)), ipv6_(ipv6) {
    rule_.ipv6 = ipv6;
    rule_.place = fmt::format("{}tables -t nat {}", ipv6 ? "ip6" : "ip", line);
  }

  void add_to(NatRuleset& ruleset) {
    if (words_.size() < 2) return;
    const auto chain = words_[1];
    rule_.conditions = chain + " ";
    read();
    auto& steps = ruleset.chains[name(chain)];
    if (target_ == "DNAT" || target_ == "REDIRECT" || target_ == "SNAT" ||
        target_ == "MASQUERADE") {
      const bool is_source = target_ == "SNAT" || target_ == "MASQUERADE";
      rule_.kind = is_source ? NatRule::Kind::source : NatRule::Kind::destination;
      if (!is_understood_) return ruleset.unread.push_back(rule_.place);
      steps.push_back({packets_, "", rule_});
    } else if (target_ == "NETMAP" && packets_.tcp) {
      ruleset.unread.push_back(rule_.place);
    } else if (!target_.empty()) {
      steps.push_back({packets_, name(target_), std::nullopt});
    }
  }

  [[nodiscard]] std::string name(const std::string& chain) const {
    return fmt::format("{}tables {}", ipv6_ ? "ip6" : "ip", chain);
  }

 private:
  void read() {
    bool is_negated = false;
    for (std::size_t i = 2; i < words_.size(); i++) {
      if (words_[i] == "!") {
        is_negated = true;
        continue;
      }
      // The words up to the next option belong to this one.
      const auto option = words_[i];
      const auto value = i + 1 < words_.size() ? words_[i + 1] : std::string();
      const bool is_protocol = option == "-p" || (option == "-m" && value == "tcp");
      if (target_.empty() && option != "-j" && option != "-g" && !is_protocol) {
        rule_.conditions += fmt::format("{}{} {} ", is_negated ? "! " : "", option, value);
      }
      if (read_option(option, value, is_negated)) i++;
      is_negated = false;
    }
  }

  // True if it took the value.
  bool read_option(const std::string& option, const std::string& value, bool is_negated) {
    if (option == "-j" || option == "-g") {
      target_ = value;
    } else if (option == "-p") {
      if ((value == "tcp" || value == "6" || value == "all") == is_negated) packets_.tcp = false;
    } else if (option == "--dport" || option == "--dports") {
      narrow_ports(value, is_negated);
    } else if (option == "-d") {
      narrow_destinations(value, is_negated);
    } else if (option == "-m") {
      // These may look at a port.
      constexpr std::array deep = {"set", "u32", "bpf", "string"};
      if (std::ranges::find(deep, value) != deep.end()) packets_.ports_are_known = false;
    } else if (option == "--ports") {
      packets_.ports_are_known = false;
    } else if (option == "--to-destination" || option == "--to-source") {
      read_target(value);
    } else if (option == "--to-ports") {
      read_new_ports(value);
    } else if (option == "--random" || option == "--random-fully") {
      rule_.is_random = true;
      return false;
    } else {
      return !value.starts_with('-') && value != "!";
    }
    return true;
  }

  void narrow_ports(const std::string& value, bool is_negated) {
    const auto wanted = parse_port_list(value);
    if (!wanted) {
      packets_.ports_are_known = false;
      return;
    }
    NatPackets those;
    those.ports = is_negated ? all_but(*wanted) : *wanted;
    packets_ = both(packets_, those);
  }

  void narrow_destinations(const std::string& value, bool is_negated) {
    const auto network = parse_network(value);
    if (!network || is_negated) return;
    NatPackets those;
    those.destinations = {*network};
    packets_ = both(packets_, those);
  }

  // "172.17.0.2:5432", "[fd00::2]:5432", "10.0.0.1-10.0.0.9", ":5432".
  void read_target(const std::string& value) {
    const auto bracket = value.rfind(']');
    const auto colon = value.rfind(':');
    const bool is_bare_ipv6 = ipv6_ && bracket == std::string::npos;
    const bool has_ports = colon != std::string::npos && !is_bare_ipv6 &&
                           (bracket == std::string::npos || colon > bracket);
    rule_.target = has_ports ? value.substr(0, colon) : value;
    std::erase_if(rule_.target, [](char c) { return c == '[' || c == ']'; });
    if (has_ports) read_new_ports(value.substr(colon + 1));
  }

  // "5432" or "5000-5432"; the port after a slash is the first of the packet's own range.
  void read_new_ports(const std::string& value) {
    rule_.new_ports = parse_ports(value.substr(0, value.find('/')), '-');
    if (!rule_.new_ports) is_understood_ = false;
  }

  std::vector<std::string> words_;
  bool ipv6_;
  std::string target_;
  NatPackets packets_;
  NatRule rule_;
  bool is_understood_ = true;
};

}  // namespace

std::expected<NatRuleset, std::string> parse_iptables_nat(std::string_view text, bool ipv6) {
  NatRuleset ruleset;
  bool is_nat = false;
  bool is_whole = false;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.starts_with('*')) is_nat = line == "*nat";
    if (line.starts_with(':')) ruleset.chain_names.emplace(line.substr(1, line.find(' ') - 1));
    if (is_nat && line == "COMMIT") is_whole = true;
    if (is_nat && line.starts_with("-A ")) LineReader(line, ipv6).add_to(ruleset);
  }
  if (!is_whole) return std::unexpected("it has no whole table nat");
  const LineReader any("", ipv6);
  ruleset.prerouting = {any.name("PREROUTING")};
  ruleset.postrouting = {any.name("POSTROUTING")};
  return ruleset;
}

}  // namespace moat
