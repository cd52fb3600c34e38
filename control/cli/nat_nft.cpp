// SPDX-License-Identifier: BSD-2-Clause
// NAT rules as nft writes them in JSON (libnftables-json(5)):
//
//   {"nftables": [{"metainfo": ...}, {"table": ...}, {"map": {"name", "elem": [[KEY, VALUE],
//   ...]}},
//                 {"chain": {"name", "type": "nat", "hook": "prerouting"}},
//                 {"rule": {"chain", "handle", "expr": [STATEMENT, ...]}}, ...]}
//
//   STATEMENT = {"match": {"op", "left": WHAT, "right": VALUES}} | {"jump": {"target": CHAIN}} |
//               {"vmap": {"key": WHAT, "data": VALUES}} | {"dnat": {"addr": TARGET, "port":
//               TARGET}} ...
//   WHAT      = {"payload": {"protocol": "tcp", "field": "dport"}} | {"concat": [WHAT, ...]} | ...
//   VALUES    = VALUE | {"set": [VALUE, ...]} | "@NAME"
//   TARGET    = VALUE | {"map": {"key": WHAT, "data": VALUES}}
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "control/cli/nat_rules.h"

namespace moat {
namespace {

using Json = nlohmann::json;

const Json* member(const Json& json, const char* key) {
  if (!json.is_object()) return nullptr;
  const auto entry = json.find(key);
  return entry == json.end() ? nullptr : &*entry;
}

std::string text(const Json* json) {
  return json != nullptr && json->is_string() ? json->get<std::string>() : std::string();
}

std::optional<std::uint16_t> port(const Json& json) {
  if (!json.is_number_unsigned() || json.get<std::uint64_t>() > 65535) return std::nullopt;
  return json.get<std::uint16_t>();
}

// Two values that stand for those between them, or one for itself.
template <typename T>
std::optional<std::pair<T, T>> bounds(const Json& json, std::optional<T> (*read)(const Json&)) {
  const auto* range = member(json, "range");
  const bool is_range = range != nullptr && range->is_array() && range->size() == 2;
  const auto first = read(is_range ? (*range)[0] : json);
  const auto last = is_range ? read((*range)[1]) : first;
  if (!first || !last) return std::nullopt;
  return std::pair(*first, *last);
}

std::optional<PortRange> ports(const Json& json) {
  const auto found = bounds<std::uint16_t>(json, port);
  if (!found) return std::nullopt;
  return PortRange{found->first, found->second};
}

std::optional<Address> address(const Json& json) {
  const auto parsed = parse_address(text(&json));
  if (!parsed) return std::nullopt;
  return *parsed;
}

std::optional<AddressRange> addresses(const Json& json) {
  if (const auto* prefix = member(json, "prefix")) {
    const auto* length = member(*prefix, "len");
    const auto* base = member(*prefix, "addr");
    if (length == nullptr || base == nullptr || !length->is_number_unsigned()) return std::nullopt;
    const auto first = address(*base);
    if (!first || length->get<unsigned>() > 32) return std::nullopt;
    const Prefix whole{*first, length->get<std::uint8_t>()};
    return AddressRange{whole.first(), whole.last()};
  }
  const auto found = bounds<Address>(json, address);
  if (!found) return std::nullopt;
  return AddressRange{found->first, found->second};
}

bool is_tcp(const Json& protocol) { return protocol == "tcp" || protocol == 6; }

// What of a packet a condition looks at.
enum class Field { port, destination, protocol, maybe_port, other };

Field field_of(const Json& what) {
  if (const auto* payload = member(what, "payload")) {
    const auto field = text(member(*payload, "field"));
    const auto protocol = text(member(*payload, "protocol"));
    if (field == "dport") return Field::port;
    if (protocol == "ip" && field == "daddr") return Field::destination;
    if ((protocol == "ip" && field == "protocol") || (protocol == "ip6" && field == "nexthdr")) {
      return Field::protocol;
    }
    return field.empty() ? Field::maybe_port : Field::other;  // some bits at an offset
  }
  if (const auto* meta = member(what, "meta");
      text(meta ? member(*meta, "key") : nullptr) == "l4proto") {
    return Field::protocol;
  }
  // These spread packets over several targets, whatever they look at.
  for (const auto* spread : {"jhash", "symhash", "numgen"}) {
    if (member(what, spread) != nullptr) return Field::other;
  }
  return what.dump().find("dport") == std::string::npos ? Field::other : Field::maybe_port;
}

// Whether looking at it takes a packet of a protocol other than TCP.
bool is_of_another_protocol(const Json& what) {
  const auto* payload = member(what, "payload");
  const auto protocol = text(payload != nullptr ? member(*payload, "protocol") : nullptr);
  constexpr std::array others = {"udp", "udplite", "sctp", "dccp", "icmp", "icmpv6"};
  return std::ranges::find(others, protocol) != others.end();
}

void narrow_ports(NatPackets& packets, const std::vector<Json>& values, bool is_negated) {
  std::vector<PortRange> wanted;
  for (const auto& value : values) {
    const auto range = ports(value);
    if (!range) packets.ports_are_known = false;
    if (!range) return;
    wanted.push_back(*range);
  }
  NatPackets those;
  those.ports = is_negated ? all_but(wanted) : wanted;
  packets = both(packets, those);
}

void narrow_destinations(NatPackets& packets, const std::vector<Json>& values) {
  NatPackets those;
  those.destinations.clear();
  for (const auto& value : values) {
    const auto range = addresses(value);
    if (!range) return;
    those.destinations.push_back(*range);
  }
  packets = both(packets, those);
}

void narrow_protocol(NatPackets& packets, const std::vector<Json>& values, bool is_negated) {
  if (std::ranges::any_of(values, is_tcp) == is_negated) packets.tcp = false;
}

class NftReader {
 public:
  std::expected<NatRuleset, std::string> read(std::string_view json) {
    const auto whole = Json::parse(json, nullptr, false);
    const auto* list = member(whole, "nftables");
    if (list == nullptr || !list->is_array()) return std::unexpected("it is no ruleset in JSON");
    for (const auto& object : *list) {
      if (const auto* info = member(object, "metainfo")) {
        const auto* version = member(*info, "json_schema_version");
        if (version == nullptr || *version != 1)
          return std::unexpected("its schema is not version 1");
      }
      for (const auto* kind : {"set", "map"}) {
        if (const auto* set = member(object, kind)) add_elements(*set);
      }
      if (const auto* chain = member(object, "chain")) add_chain(*chain);
    }
    for (const auto& object : *list) {
      if (const auto* rule = member(object, "rule")) add_rule(*rule);
    }
    return std::move(ruleset_);
  }

 private:
  static std::string table_of(const Json& object) {
    return fmt::format("{} {}", text(member(object, "family")), text(member(object, "table")));
  }

  void add_elements(const Json& set) {
    const auto* elements = member(set, "elem");
    elements_[table_of(set) + " " + text(member(set, "name"))] =
        elements == nullptr ? Json::array() : *elements;
  }

  void add_chain(const Json& chain) {
    if (text(member(chain, "type")) != "nat") return;
    const auto name = table_of(chain) + " " + text(member(chain, "name"));
    const auto hook = text(member(chain, "hook"));
    if (hook == "prerouting") ruleset_.prerouting.push_back(name);
    if (hook == "postrouting") ruleset_.postrouting.push_back(name);
  }

  void add_rule(const Json& rule) {
    const auto* statements = member(rule, "expr");
    if (statements == nullptr || !statements->is_array()) return;
    table_ = table_of(rule);
    const auto chain = text(member(rule, "chain"));
    const auto* handle = member(rule, "handle");
    place_ = fmt::format("table {}, chain {}, handle {}", table_, chain,
                         handle == nullptr ? "?" : handle->dump());
    chain_ = &ruleset_.chains[table_ + " " + chain];
    packets_ = {};
    conditions_ = table_ + " " + chain + " ";
    for (const auto& statement : *statements) {
      if (statement.is_object() && statement.size() == 1) {
        add_statement(statement.begin().key(), statement.begin().value());
      }
    }
  }

  void add_statement(const std::string& kind, const Json& body) {
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
      const bool is_target = body.is_null() || text(member(body, "type")) == "target";
      if (is_target)
        (table_.starts_with("ip6") ? ruleset_.has_iptables6 : ruleset_.has_iptables4) = true;
    } else if (kind != "counter" && kind != "log") {
      conditions_ += body.dump();
    }
  }

  void add_condition(const Json& match) {
    const auto* left = member(match, "left");
    const auto* right = member(match, "right");
    if (left == nullptr || right == nullptr) return;
    const auto op = text(member(match, "op"));
    if (field_of(*left) != Field::protocol) conditions_ += match.dump();
    const auto values = values_of(*right);
    if (!values || (op != "==" && op != "in" && op != "!=")) {
      narrow_by_unknown(packets_, *left);
    } else {
      narrow(packets_, *left, *values, op == "!=");
    }
  }

  static void narrow_by_unknown(NatPackets& packets, const Json& what) {
    if (is_of_another_protocol(what)) packets.tcp = false;
    if (what.dump().find("dport") != std::string::npos) packets.ports_are_known = false;
  }

  // Of several things at once, each is taken by itself: those packets and some more.
  static void narrow(NatPackets& packets, const Json& what, const std::vector<Json>& values,
                     bool is_negated) {
    if (const auto* parts = member(what, "concat"); parts != nullptr && parts->is_array()) {
      if (is_negated) return narrow_by_unknown(packets, what);
      for (std::size_t i = 0; i < parts->size(); i++) {
        std::vector<Json> column;
        for (const auto& value : values) {
          const auto* row = member(value, "concat");
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

  static void narrow_one(NatPackets& packets, const Json& what, const std::vector<Json>& values,
                         bool is_negated) {
    if (is_of_another_protocol(what)) packets.tcp = false;
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

  // An element may have a comment or a timeout beside its value.
  static const Json& bare(const Json& element) {
    const auto* wrapped = member(element, "elem");
    const auto* value = wrapped == nullptr ? nullptr : member(*wrapped, "val");
    return value == nullptr ? element : *value;
  }

  [[nodiscard]] const Json* elements_of(const Json& values) const {
    if (const auto* set = member(values, "set")) return set;
    const auto name = text(&values);
    if (!name.starts_with('@')) return nullptr;
    const auto entry = elements_.find(table_ + " " + name.substr(1));
    return entry == elements_.end() ? nullptr : &entry->second;
  }

  [[nodiscard]] std::optional<std::vector<Json>> values_of(const Json& right) const {
    const auto* elements = elements_of(right);
    if (elements == nullptr) {
      if (text(&right).starts_with('@')) return std::nullopt;
      return std::vector{right};
    }
    std::vector<Json> values;
    for (const auto& element : *elements) values.push_back(bare(element));
    return values;
  }

  // What a map gives, each with the packets that it is given to. Nothing: it was not understood.
  using Choices = std::vector<std::pair<NatPackets, Json>>;
  [[nodiscard]] std::optional<Choices> choices_of(const Json& map) const {
    const auto* key = member(map, "key");
    const auto* data = member(map, "data");
    const auto* elements = data == nullptr ? nullptr : elements_of(*data);
    if (key == nullptr || elements == nullptr) return std::nullopt;
    Choices choices;
    for (const auto& element : *elements) {
      if (!element.is_array() || element.size() != 2) return std::nullopt;
      NatPackets packets;
      narrow(packets, *key, {bare(element[0])}, false);
      choices.emplace_back(packets, bare(element[1]));
    }
    return choices;
  }

  void add_jump(const NatPackets& packets, const Json& body) {
    chain_->push_back({packets, table_ + " " + text(member(body, "target")), std::nullopt});
  }

  void add_jumps(const Json& map) {
    const auto choices = choices_of(map);
    if (!choices) {
      ruleset_.unread.push_back(place_);
      return;
    }
    for (const auto& [packets, verdict] : *choices) {
      for (const auto* kind : {"jump", "goto"}) {
        if (const auto* body = member(verdict, kind)) add_jump(both(packets_, packets), *body);
      }
    }
  }

  // A value, or what a map gives in its place.
  [[nodiscard]] std::optional<Choices> targets_of(const Json& body, const char* key) const {
    const auto* value = member(body, key);
    if (value == nullptr) return Choices{{NatPackets{}, Json()}};
    if (const auto* map = member(*value, "map")) return choices_of(*map);
    return Choices{{NatPackets{}, *value}};
  }

  void add_nat(NatRule::Kind kind, const std::string& statement, const Json& body) {
    NatRule rule;
    rule.kind = kind;
    rule.place = place_;
    rule.conditions = conditions_;
    rule.ipv6 = table_.starts_with("ip6") || text(member(body, "family")) == "ip6";
    rule.is_random = body.dump().find("random\"") != std::string::npos;
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

  static bool read_target(const Json& host, const Json& number, NatRule& rule) {
    rule.target.clear();
    rule.new_ports.reset();
    const auto* pair = member(host, "concat");
    const bool is_pair = pair != nullptr && pair->is_array() && pair->size() == 2;
    const auto& ports_part = is_pair ? (*pair)[1] : number;
    if (!ports_part.is_null()) rule.new_ports = ports(ports_part);
    const auto shown = show(is_pair ? (*pair)[0] : host);
    rule.target = shown.value_or("");
    return shown && (ports_part.is_null() || rule.new_ports);
  }

  static std::optional<std::string> show(const Json& host) {
    if (host.is_null()) return "";
    if (host.is_string()) return host.get<std::string>();
    if (const auto* range = member(host, "range"); range != nullptr && range->size() == 2) {
      return fmt::format("{}-{}", text(&(*range)[0]), text(&(*range)[1]));
    }
    const auto* prefix = member(host, "prefix");
    const auto* length = prefix == nullptr ? nullptr : member(*prefix, "len");
    if (length == nullptr) return std::nullopt;
    return fmt::format("{}/{}", text(member(*prefix, "addr")), length->dump());
  }

  NatRuleset ruleset_;
  std::map<std::string, Json> elements_;  // of sets and maps, by table and name

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
