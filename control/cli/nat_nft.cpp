// SPDX-License-Identifier: BSD-2-Clause
// NAT rules as nft writes them in JSON: see nft_json.h.
//
//   STATEMENT = {"match": ...} | {"jump": {"target": CHAIN}} |
//               {"vmap": {"key": WHAT, "data": VALUES}} |
//               {"dnat": {"addr": TARGET, "port": TARGET}} ...
//   TARGET    = VALUE | {"map": {"key": WHAT, "data": VALUES}}
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "control/cli/nat_rules.h"
#include "control/cli/nft_json.h"

namespace moat {
namespace {

bool is_tcp(const nft::Json& protocol) { return protocol == "tcp" || protocol == 6; }

// What of a packet a condition looks at.
enum class Field { port, destination, protocol, maybe_port, other };

Field field_of(const nft::Json& what) {
  if (const auto* payload = nft::member(what, "payload")) {
    const auto field = nft::text(nft::member(*payload, "field"));
    const auto protocol = nft::text(nft::member(*payload, "protocol"));
    if (field == "dport") return Field::port;
    if (protocol == "ip" && field == "daddr") return Field::destination;
    if ((protocol == "ip" && field == "protocol") || (protocol == "ip6" && field == "nexthdr")) {
      return Field::protocol;
    }
    return field.empty() ? Field::maybe_port : Field::other;  // some bits at an offset
  }
  if (const auto* meta = nft::member(what, "meta");
      nft::text(meta ? nft::member(*meta, "key") : nullptr) == "l4proto") {
    return Field::protocol;
  }
  // These spread packets over several targets, whatever they look at.
  for (const auto* spread : {"jhash", "symhash", "numgen"}) {
    if (nft::member(what, spread) != nullptr) return Field::other;
  }
  return nft::show(what).find("dport") == std::string::npos ? Field::other : Field::maybe_port;
}

void narrow_ports(NatPackets& packets, const std::vector<nft::Json>& values, bool is_negated) {
  std::vector<PortRange> wanted;
  for (const auto& value : values) {
    const auto range = nft::ports(value);
    if (!range) packets.ports_are_known = false;
    if (!range) return;
    wanted.push_back(*range);
  }
  NatPackets those;
  those.ports = is_negated ? all_but(wanted) : wanted;
  packets = both(packets, those);
}

void narrow_destinations(NatPackets& packets, const std::vector<nft::Json>& values) {
  NatPackets those;
  those.destinations.clear();
  for (const auto& value : values) {
    const auto range = nft::addresses(value);
    if (!range) return;
    those.destinations.push_back(*range);
  }
  packets = both(packets, those);
}

void narrow_protocol(NatPackets& packets, const std::vector<nft::Json>& values, bool is_negated) {
  if (std::ranges::any_of(values, is_tcp) == is_negated) packets.tcp = false;
}

class NftReader {
 public:
  std::expected<NatRuleset, std::string> read(std::string_view json) {
    const auto list = nft::parse_ruleset(json);
    if (!list) return std::unexpected(list.error());
    sets_.emplace(*list);
    for (const auto& object : *list) {
      if (const auto* chain = nft::member(object, "chain")) add_chain(*chain);
    }
    for (const auto& object : *list) {
      if (const auto* rule = nft::member(object, "rule")) add_rule(*rule);
    }
    return std::move(ruleset_);
  }

 private:
  void add_chain(const nft::Json& chain) {
    const auto name = nft::table_of(chain) + " " + nft::text(nft::member(chain, "name"));
    ruleset_.chain_names.insert(name);
    if (nft::text(nft::member(chain, "type")) != "nat") return;
    const auto hook = nft::text(nft::member(chain, "hook"));
    if (hook == "prerouting") ruleset_.prerouting.push_back(name);
    if (hook == "postrouting") ruleset_.postrouting.push_back(name);
  }

  void add_rule(const nft::Json& rule) {
    const auto* statements = nft::member(rule, "expr");
    if (statements == nullptr || !statements->is_array()) return;
    table_ = nft::table_of(rule);
    place_ = nft::place_of(rule);
    const auto chain = nft::text(nft::member(rule, "chain"));
    chain_ = &ruleset_.chains[table_ + " " + chain];
    packets_ = {};
    conditions_ = table_ + " " + chain + " ";
    for (const auto& statement : *statements) {
      if (statement.is_object() && statement.size() == 1) {
        add_statement(statement.begin().key(), statement.begin().value());
      }
    }
  }

  void add_statement(const std::string& kind, const nft::Json& body) {
    if (kind == "match") {
      add_condition(body);
    } else if (kind == "jump" || kind == "goto") {
      add_jump(packets_, body);
    } else if (kind == "vmap") {
      add_jumps(body);
    } else if (kind == "dnat" || kind == "redirect") {
      add_nat(NatRule::Kind::destination, kind, body);
    } else if (kind == "snat" || kind == "masquerade") {
      add_nat(NatRule::Kind::source, kind, body);
    } else if (kind == "xt") {
      // A match of iptables, or a target, of which nft tells no more than the name.
      const bool is_target = body.is_null() || nft::text(nft::member(body, "type")) == "target";
      if (is_target)
        (table_.starts_with("ip6") ? ruleset_.has_iptables6 : ruleset_.has_iptables4) = true;
    } else if (kind != "counter" && kind != "log") {
      conditions_ += nft::show(body);
    }
  }

  void add_condition(const nft::Json& match) {
    const auto* left = nft::member(match, "left");
    const auto* right = nft::member(match, "right");
    if (left == nullptr || right == nullptr) return;
    const auto op = nft::text(nft::member(match, "op"));
    if (field_of(*left) != Field::protocol) conditions_ += nft::show(match);
    const auto values = values_of(*right);
    if (!values || (op != "==" && op != "in" && op != "!=")) {
      narrow_by_unknown(packets_, *left);
    } else {
      narrow(packets_, *left, *values, op == "!=");
    }
  }

  static void narrow_by_unknown(NatPackets& packets, const nft::Json& what) {
    if (nft::is_of_another_protocol(what)) packets.tcp = false;
    if (nft::show(what).find("dport") != std::string::npos) packets.ports_are_known = false;
  }

  // Of several things at once, each is taken by itself: those packets and some more.
  static void narrow(NatPackets& packets, const nft::Json& what,
                     const std::vector<nft::Json>& values, bool is_negated) {
    if (const auto* parts = nft::member(what, "concat"); parts != nullptr && parts->is_array()) {
      if (is_negated) return narrow_by_unknown(packets, what);
      for (std::size_t i = 0; i < parts->size(); i++) {
        std::vector<nft::Json> column;
        for (const auto& value : values) {
          const auto* row = nft::member(value, "concat");
          if (row == nullptr || !row->is_array() || row->size() != parts->size()) {
            return narrow_by_unknown(packets, what);
          }
          column.push_back((*row)[i]);
        }
        narrow_one(packets, (*parts)[i], column, false);
      }
      return;
    }
    narrow_one(packets, what, values, is_negated);
  }

  static void narrow_one(NatPackets& packets, const nft::Json& what,
                         const std::vector<nft::Json>& values, bool is_negated) {
    if (nft::is_of_another_protocol(what)) packets.tcp = false;
    switch (field_of(what)) {
      case Field::port:
        narrow_ports(packets, values, is_negated);
        break;
      case Field::destination:
        if (!is_negated) narrow_destinations(packets, values);
        break;
      case Field::protocol:
        narrow_protocol(packets, values, is_negated);
        break;
      case Field::maybe_port:
        packets.ports_are_known = false;
        break;
      case Field::other:
        break;
    }
  }

  [[nodiscard]] std::optional<std::vector<nft::Json>> values_of(const nft::Json& right) const {
    const auto* elements = sets_->elements_of(right, table_);
    if (elements == nullptr) {
      if (nft::text(&right).starts_with('@')) return std::nullopt;
      return std::vector{right};
    }
    std::vector<nft::Json> values;
    for (const auto& element : *elements) values.push_back(nft::bare(element));
    return values;
  }

  // What a map gives, each with the packets that it is given to. Nothing: it was not understood.
  using Choices = std::vector<std::pair<NatPackets, nft::Json>>;
  [[nodiscard]] std::optional<Choices> choices_of(const nft::Json& map) const {
    const auto* key = nft::member(map, "key");
    const auto* data = nft::member(map, "data");
    const auto* elements = data == nullptr ? nullptr : sets_->elements_of(*data, table_);
    if (key == nullptr || elements == nullptr) return std::nullopt;
    Choices choices;
    for (const auto& element : *elements) {
      if (!element.is_array() || element.size() != 2) return std::nullopt;
      NatPackets packets;
      narrow(packets, *key, {nft::bare(element[0])}, false);
      choices.emplace_back(packets, nft::bare(element[1]));
    }
    return choices;
  }

  void add_jump(const NatPackets& packets, const nft::Json& body) {
    chain_->push_back(
        {packets, table_ + " " + nft::text(nft::member(body, "target")), std::nullopt});
  }

  void add_jumps(const nft::Json& map) {
    const auto choices = choices_of(map);
    if (!choices) {
      ruleset_.unread.push_back(place_);
      return;
    }
    for (const auto& [packets, verdict] : *choices) {
      for (const auto* kind : {"jump", "goto"}) {
        if (const auto* body = nft::member(verdict, kind)) add_jump(both(packets_, packets), *body);
      }
    }
  }

  // A value, or what a map gives in its place.
  [[nodiscard]] std::optional<Choices> targets_of(const nft::Json& body, const char* key) const {
    const auto* value = nft::member(body, key);
    if (value == nullptr) return Choices{{NatPackets{}, nft::Json()}};
    if (const auto* map = nft::member(*value, "map")) return choices_of(*map);
    return Choices{{NatPackets{}, *value}};
  }

  void add_nat(NatRule::Kind kind, const std::string& statement, const nft::Json& body) {
    NatRule rule;
    rule.kind = kind;
    rule.place = place_;
    rule.conditions = conditions_;
    rule.ipv6 = table_.starts_with("ip6") || nft::text(nft::member(body, "family")) == "ip6";
    rule.is_random = nft::show(body).find("random\"") != std::string::npos;
    const auto hosts = targets_of(body, "addr");
    const auto new_ports = targets_of(body, "port");
    bool is_understood = hosts && new_ports;
    for (const auto& [by_host, host] : hosts.value_or(Choices{})) {
      for (const auto& [by_port, number] : new_ports.value_or(Choices{})) {
        const auto step = both(packets_, both(by_host, by_port));
        if (read_target(host, number, rule)) {
          chain_->push_back({step, "", rule});
        } else {
          is_understood = false;
        }
      }
    }
    if (!is_understood && packets_.tcp)
      ruleset_.unread.push_back(fmt::format("{}: {}", place_, statement));
  }

  static bool read_target(const nft::Json& host, const nft::Json& number, NatRule& rule) {
    rule.target.clear();
    rule.new_ports.reset();
    const auto* pair = nft::member(host, "concat");
    const bool is_pair = pair != nullptr && pair->is_array() && pair->size() == 2;
    const auto& ports_part = is_pair ? (*pair)[1] : number;
    if (!ports_part.is_null()) rule.new_ports = nft::ports(ports_part);
    const auto shown = show(is_pair ? (*pair)[0] : host);
    rule.target = shown.value_or("");
    return shown && (ports_part.is_null() || rule.new_ports);
  }

  static std::optional<std::string> show(const nft::Json& host) {
    if (host.is_null()) return "";
    if (host.is_string()) return host.get<std::string>();
    if (const auto* range = nft::member(host, "range"); range != nullptr && range->size() == 2) {
      return fmt::format("{}-{}", nft::text(&(*range)[0]), nft::text(&(*range)[1]));
    }
    const auto* prefix = nft::member(host, "prefix");
    const auto* length = prefix == nullptr ? nullptr : nft::member(*prefix, "len");
    if (length == nullptr) return std::nullopt;
    return fmt::format("{}/{}", nft::text(nft::member(*prefix, "addr")), nft::show(*length));
  }

  NatRuleset ruleset_;
  std::optional<nft::NamedSets> sets_;

  // Of the rule that is being read.
  std::string table_;
  std::string place_;
  std::string conditions_;
  NatPackets packets_;
  std::vector<NatStep>* chain_ = nullptr;
};

}  // namespace

std::expected<NatRuleset, std::string> parse_nft_nat(std::string_view json) {
  return NftReader().read(json);
}

}  // namespace moat
