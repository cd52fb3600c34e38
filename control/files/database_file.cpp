// SPDX-License-Identifier: BSD-2-Clause
// databases.d/*.yaml: one database, what it is reached at and who may reach it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <type_traits>
#include <utility>

#include "control/files/database_text.h"
#include "control/text/digit.h"
#include "control/text/input_limits.h"
#include "control/text/nearest.h"
#include "control/yaml/fields.h"

namespace moat {
namespace {

constexpr std::string_view nobody = "write `rules: []` for nobody";
constexpr std::string_view no_peerings = "leave the key out where there are none";

constexpr std::string_view no_expectations = "leave the key out where nothing is expected";

constexpr std::array database_keys = {
    Key{"database", true, "write `database: ID`"},
    Key{"endpoint", true, "write `endpoint: {port: 5432}`"},
    Key{"rules", true, nobody},
    Key{"net-peerings", false, no_peerings},
    Key{"expect", false, no_expectations},
    Key{"mode", false, "write enforce or monitor, or leave the key out for the host's mode"},
};
constexpr std::array endpoint_keys = {
    Key{"port", false, "write `port: 5432`"},
    Key{"ports", false, "write `ports: [5432, 6432]` or `ports: all`"},
    Key{"address", false, "leave the key out for every address of the host"},
    Key{"ipv6", false, "write `ipv6: closed`, or `ipv6: open` if that is meant"},
};
constexpr std::array rule_keys = {
    Key{"cidr", false, "write `cidr: 192.0.2.1/32`"},
    Key{"managed-range", false, "write the managed range's id"},
    Key{"net-peering", false, "write the id that the peering has under `net-peerings`"},
    Key{"label", false, "leave the key out, or put the text in quotes"},
    Key{"expires", false, "leave the key out where the rule stays"},
    Key{"id", false, "leave the key out: the id then comes from the source"},
};
constexpr std::array peering_keys = {
    Key{"id", true, "write the peering's id"},
    Key{"cidr", true, "write `cidr: 10.0.0.0/16`"},
    Key{"account", false, "leave the key out, or name whose network it is"},
    Key{"label", false, "leave the key out, or put the text in quotes"},
};

constexpr std::array expectation_keys = {
    Key{"allow", false, "write `allow: 192.0.2.1`"},
    Key{"deny", false, "write `deny: 203.0.113.1`"},
    Key{"label", false, "leave the key out, or put the text in quotes"},
};

// Tells the second use of something from the first.
template <typename T>
class Seen {
 public:
  // The line of the first use, or nothing if this is it.
  std::optional<unsigned> line_of_first(const T& thing, Spot spot) {
    const auto [first, is_new] = lines_.emplace(thing, spot.line);
    return is_new ? std::nullopt : std::optional(first->second);
  }

  // Of its first use, if there was one.
  std::optional<unsigned> line_of(const T& thing) const {
    const auto found = lines_.find(thing);
    return found == lines_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  std::map<T, unsigned> lines_;
};

std::string in_line(unsigned line) { return fmt::format("the first is in line {}", line); }

std::expected<std::uint16_t, Error> parse_port(std::string_view text) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (end != text.data() + text.size() || error != std::errc{} || text.starts_with('0')) {
    if (!is_digits(text)) return std::unexpected(Error{"not a port", "write a number, as in 5432"});
    port = text.starts_with('0') ? 0 : 70'000;
  }
  if (port == 0 || port > 65'535) {
    return std::unexpected(Error{"no such port", "1 to 65535, without leading zeros"});
  }
  return static_cast<std::uint16_t>(port);
}

std::optional<std::uint16_t> read_port(const Node& node, FaultLog& log) {
  const auto port = read_parsed(node, "port", parse_port, log);
  if (port && !node.is_plain) {
    log.error(node.spot(), "the port is quoted", node.text, "write numbers without quotes");
    return std::nullopt;
  }
  return port;
}

// Appends to `ports`, and says no more than once that there are too many.
void read_port_list(const std::vector<Node>& items, Endpoint& endpoint, FaultLog& log) {
  Seen<std::uint16_t> seen;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i == limits::ports) {
      log.error(items[i].spot(), fmt::format("more than {} ports", limits::ports), items[i].text,
                fmt::format("{} too many", items.size() - limits::ports));
    }
    const auto port = read_port(items[i], log);
    if (!port) continue;
    if (const auto line = seen.line_of_first(*port, items[i].spot())) {
      log.error(items[i].spot(), "the same port twice", items[i].text, in_line(*line));
    }
    endpoint.ports.push_back(*port);
  }
}

void read_ports(const Node& node, Endpoint& endpoint, FaultLog& log) {
  if (node.is(Node::Kind::scalar) && node.text == "all") {
    endpoint.all = true;
    return;
  }
  const auto* items = read_list(node, "ports", "write `ports: [5432, 6432]` or `ports: all`", log);
  if (items == nullptr) return;
  if (items->empty()) {
    log.error(node.spot(), "no port is named", "[]", "name at least one port");
  }
  read_port_list(*items, endpoint, log);
}

std::expected<Address, Error> parse_endpoint_address(std::string_view text) {
  const auto address = parse_address(text);
  if (!address) return address;
  if (*address == Address{}) {
    return std::unexpected(Error{"this is no host's address",
                                 "leave `address` out to guard every address of the host"});
  }
  if (address->value >> 24 >= 224) {
    return std::unexpected(Error{"this is no host's address", "name one address of this host"});
  }
  return address;
}

std::expected<Ipv6, Error> parse_ipv6(std::string_view text) {
  if (text == "closed") return Ipv6::closed;
  if (text == "open") return Ipv6::open;
  return std::unexpected(
      Error{"neither closed nor open", "write `ipv6: closed`, or `ipv6: open` if that is meant"});
}

// The endpoint, if nothing at all is wrong with it.
std::optional<Endpoint> read_endpoint(const Node& node, FaultLog& log) {
  const auto errors_before = log.errors();
  const auto fields = Fields::of(node, "an endpoint", endpoint_keys, log);
  if (!fields) return std::nullopt;
  Endpoint endpoint;
  if (const auto* address = fields->find("address")) {
    endpoint.address = read_parsed(*address, "address", parse_endpoint_address, log);
  }
  if (const auto* port = fields->find("port")) {
    if (const auto number = read_port(*port, log)) endpoint.ports.push_back(*number);
  }
  if (const auto* ports = fields->find("ports")) {
    if (fields->has("port")) {
      log.error(fields->key("ports")->spot(), "both `port` and `ports`", {}, "keep one of them");
    } else {
      read_ports(*ports, endpoint, log);
    }
  }
  if (!fields->has("port") && !fields->has("ports")) {
    log.error(node.spot(), "the endpoint has no port", {}, "write `port: 5432`");
  }
  if (endpoint.all && !fields->has("address")) {
    log.error(fields->key("ports")->spot(), "`ports: all` needs an address", "all",
              "write `address: 10.0.0.5` beside it, or name the ports");
  }
  if (const auto* ipv6 = fields->find("ipv6")) {
    endpoint.ipv6 = read_parsed(*ipv6, "ipv6", parse_ipv6, log);
    if (endpoint.ipv6 && !endpoint.all) {
      log.error(fields->key("ipv6")->spot(), "`ipv6` goes with `ports: all`", ipv6->text,
                "leave it out: named ports are closed on IPv6");
    }
  }
  const bool is_sound = log.errors() == errors_before && !fields->has_repeated_key();
  return is_sound ? std::optional(endpoint) : std::nullopt;
}

// A source that lets in everybody, or nobody. From length 3 on, no prefix has both ends among the
// addresses that can be no client's and others between them.
void warn_about_cidr(const Node& node, Prefix cidr, std::string_view of_everybody, FaultLog& log) {
  if (cidr.length == 0) {
    log.warning(node.spot(), std::string(of_everybody), node.text,
                "name the networks that need access");
  } else if (is_martian(cidr.first()) && is_martian(cidr.last()) && cidr.length >= 3) {
    log.warning(node.spot(), "never matches: no client has such an address", node.text,
                "name the address that the database host sees");
  }
}

// An address that can be a client's.
std::expected<Address, Error> parse_expected(std::string_view text) {
  const auto slash = text.find('/');
  if (slash != std::string_view::npos && parse_address(text.substr(0, slash)))
    return std::unexpected(Error{"one address is expected, not a network",
                                 fmt::format("write {}", text.substr(0, slash))});
  if (parse_address6(std::string(text)))
    return std::unexpected(Error{"there are no IPv6 rules", "name an IPv4 address"});
  const auto address = parse_address(text);
  if (address && is_martian(*address))
    return std::unexpected(Error{"no client has such an address, and it is denied in any case",
                                 "name the address that the database host sees"});
  return address;
}

class DatabaseReader {
 public:
  DatabaseReader(FaultLog& log, WallTime now, std::vector<DatabaseResult::NamedRange>& ranges)
      : log_(log), now_(now), named_ranges_(ranges) {}

  void read(const Fields& fields, Database& database) {
    if (const auto* rules = fields.find("rules")) read_rules(*rules, database.rules);
    if (const auto* peerings = fields.find("net-peerings")) {
      read_peerings(*peerings, database.peerings);
    }
    refuse_unknown_peerings(database.peerings);
    if (const auto* expect = fields.find("expect")) {
      read_expectations(*expect, database.expectations);
    }
    if (const auto* mode = fields.find("mode")) {
      database.mode = read_parsed(*mode, "mode", parse_mode, log_);
    }
  }

 private:
  void read_rules(const Node& node, std::vector<Rule>& rules) {
    const auto* items = read_list(node, "rules", nobody, log_);
    if (items == nullptr) return;
    for (std::size_t i = 0; i < items->size(); ++i) {
      const auto& item = (*items)[i];
      if (i == limits::rules) {
        log_.error(item.spot(), fmt::format("more than {} rules", limits::rules), {},
                   fmt::format("{} too many: merge CIDRs, or use a managed range",
                               items->size() - limits::rules));
      }
      rules.push_back(read_rule(item));
    }
  }

  Rule read_rule(const Node& item) {
    Rule rule;
    rule.place = log_.place(item.spot());
    const auto fields = Fields::of(item, "a rule", rule_keys, log_);
    if (!fields) return rule;
    read_source(item, *fields, rule);
    if (const auto* label = fields->find("label")) {
      rule.label = read_line(*label, "label", 0, limits::label_bytes, log_).value_or("");
    }
    if (const auto* id = fields->find("id")) {
      rule.id = read_id(*id, "id", log_).value_or("");
      refuse_second(rule_ids_, rule.id, *id, "the same rule id twice");
    }
    if (const auto* expires = fields->find("expires")) {
      rule.expires = read_parsed(*expires, "expires", parse_time, log_);
      if (rule.is_expired(now_)) {
        log_.warning(expires->spot(), "the rule has expired", expires->text,
                     "take it out, or set a later time");
      }
    }
    return rule;
  }

  void read_source(const Node& item, const Fields& fields, Rule& rule) {
    std::vector<std::string_view> sources;
    for (const std::string_view source : {"cidr", "managed-range", "net-peering"}) {
      if (fields.has(source)) sources.push_back(source);
    }
    if (sources.empty()) {
      log_.error(item.spot(), "the rule names no source", {},
                 "write `cidr: 192.0.2.1/32`, `managed-range: ID` or `net-peering: ID`");
    } else if (sources.size() > 1) {
      log_.error(item.spot(),
                 fmt::format("the rule names several sources: {}", fmt::join(sources, ", ")), {},
                 "write a rule for each");
    }
    if (const auto* cidr = fields.find("cidr")) {
      rule.cidr = read_cidr(*cidr, "filtering is off: every address is allowed");
      if (rule.cidr) refuse_second(rule_cidrs_, *rule.cidr, *cidr, "the same source twice");
    }
    if (const auto* range = fields.find("managed-range")) {
      rule.managed_range = read_id(*range, "managed-range", log_).value_or("");
      refuse_second(rule_ranges_, rule.managed_range, *range, "the same source twice");
      if (!rule.managed_range.empty()) {
        named_ranges_.push_back({rule.managed_range, log_.place(range->spot())});
      }
    }
    if (const auto* peering = fields.find("net-peering")) {
      rule.net_peering = read_id(*peering, "net-peering", log_).value_or("");
      refuse_second(rule_peerings_, rule.net_peering, *peering, "the same source twice");
      if (!rule.net_peering.empty())
        named_peerings_.emplace_back(rule.net_peering, peering->spot());
    }
  }

  void refuse_unknown_peerings(const std::vector<NetPeering>& peerings) {
    std::vector<std::string_view> registered;
    for (const auto& peering : peerings) registered.push_back(peering.id);
    for (const auto& [id, spot] : named_peerings_) {
      if (std::ranges::find(registered, id) != registered.end()) continue;
      const auto near = nearest(id, registered);
      log_.error(spot, "unknown net peering", id,
                 near.empty() ? "write it under `net-peerings`, with its id and cidr"
                              : fmt::format("did you mean {}?", near));
    }
  }

  void read_peerings(const Node& node, std::vector<NetPeering>& peerings) {
    const auto* items = read_list(node, "net-peerings", no_peerings, log_);
    if (items == nullptr) return;
    for (std::size_t i = 0; i < items->size(); ++i) {
      const auto& item = (*items)[i];
      if (i == limits::peerings) {
        log_.error(item.spot(), fmt::format("more than {} net peerings", limits::peerings), {},
                   fmt::format("{} too many", items->size() - limits::peerings));
      }
      peerings.push_back(read_peering(item));
    }
  }

  NetPeering read_peering(const Node& item) {
    NetPeering peering;
    peering.place = log_.place(item.spot());
    const auto fields = Fields::of(item, "a net peering", peering_keys, log_);
    if (!fields) return peering;
    if (const auto* id = fields->find("id")) {
      peering.id = read_id(*id, "id", log_).value_or("");
      refuse_second(peering_ids_, peering.id, *id, "the same net peering twice");
    }
    if (const auto* cidr = fields->find("cidr")) {
      const auto prefix = read_cidr(*cidr, "a rule for this net peering allows every address");
      peering.cidr = prefix.value_or(Prefix{});
      if (prefix) refuse_second(peering_cidrs_, *prefix, *cidr, "the same peered network twice");
    }
    if (const auto* account = fields->find("account")) {
      peering.account = read_line(*account, "account", 1, limits::label_bytes, log_).value_or("");
    }
    if (const auto* label = fields->find("label")) {
      peering.label = read_line(*label, "label", 0, limits::label_bytes, log_).value_or("");
    }
    return peering;
  }

  void read_expectations(const Node& node, std::vector<Expectation>& expectations) {
    const auto* items = read_list(node, "expect", no_expectations, log_);
    if (items == nullptr) return;
    for (std::size_t i = 0; i < items->size(); ++i) {
      const auto& item = (*items)[i];
      if (i == limits::expectations) {
        log_.error(item.spot(), fmt::format("more than {} expectations", limits::expectations), {},
                   fmt::format("{} too many", items->size() - limits::expectations));
      }
      expectations.push_back(read_expectation(item));
    }
  }

  Expectation read_expectation(const Node& item) {
    Expectation expectation;
    expectation.place = log_.place(item.spot());
    const auto fields = Fields::of(item, "an expectation", expectation_keys, log_);
    if (!fields) return expectation;
    if (const auto* label = fields->find("label")) {
      expectation.label = read_line(*label, "label", 0, limits::label_bytes, log_).value_or("");
    }
    expectation.allowed = fields->has("allow");
    if (fields->has("allow") == fields->has("deny")) {
      log_.error(item.spot(),
                 expectation.allowed ? "the expectation has both `allow` and `deny`"
                                     : "the expectation names no source",
                 {},
                 expectation.allowed ? "write two expectations"
                                     : "write `allow: 192.0.2.1` or `deny: 203.0.113.1`");
      return expectation;
    }
    const std::string_view key = expectation.allowed ? "allow" : "deny";
    const auto* source = fields->find(key);
    const auto address =
        source == nullptr ? std::nullopt : read_parsed(*source, key, parse_expected, log_);
    if (!address) return expectation;
    expectation.source = *address;
    auto& same = expectation.allowed ? allowed_ : denied_;
    auto& other = expectation.allowed ? denied_ : allowed_;
    if (!refuse_second(same, *address, *source, "the same expectation twice"))
      refuse_contradiction(other, *address, *source);
    return expectation;
  }

  void refuse_contradiction(const Seen<Address>& other, Address address, const Node& node) {
    const auto line = other.line_of(address);
    if (line)
      log_.error(node.spot(), "the address is expected to be both allowed and denied", node.text,
                 fmt::format("the other is in line {}", *line));
  }

  std::optional<Prefix> read_cidr(const Node& node, std::string_view of_everybody) {
    const auto cidr = read_parsed(node, "cidr", parse_prefix, log_);
    if (cidr) warn_about_cidr(node, *cidr, of_everybody, log_);
    return cidr;
  }

  template <typename T>
  bool refuse_second(Seen<T>& seen, const T& thing, const Node& node, std::string_view message) {
    if constexpr (std::is_same_v<T, std::string>) {
      if (thing.empty()) return false;  // a fault is logged already
    }
    const auto line = seen.line_of_first(thing, node.spot());
    if (line) log_.error(node.spot(), std::string(message), node.text, in_line(*line));
    return line.has_value();
  }

  FaultLog& log_;
  WallTime now_;
  std::vector<DatabaseResult::NamedRange>& named_ranges_;
  Seen<Prefix> rule_cidrs_;
  Seen<std::string> rule_ranges_;
  Seen<std::string> rule_peerings_;
  std::vector<std::pair<std::string, Spot>> named_peerings_;  // by rules
  Seen<std::string> rule_ids_;
  Seen<std::string> peering_ids_;
  Seen<Prefix> peering_cidrs_;
  Seen<Address> allowed_;
  Seen<Address> denied_;
};

// What the file is about and what it guards, each on its own.
void read_identity(const Fields& fields, DatabaseResult& reading, FaultLog& log) {
  const auto is_sound = [&fields](std::string_view name) {
    const auto* key = fields.key(name);
    return key != nullptr && !key->is_repeated;
  };
  if (const auto* id = fields.find("database")) {
    const auto read = read_id(*id, "database", log);
    if (is_sound("database")) reading.id = read;
  }
  if (const auto* endpoint = fields.find("endpoint")) {
    reading.endpoint_place = log.place(endpoint->spot());
    const auto read = read_endpoint(*endpoint, log);
    if (is_sound("endpoint")) reading.endpoint = read;
  }
}

DatabaseResult read_tree(const YamlTree& tree, FaultLog& log, WallTime now) {
  DatabaseResult reading;
  if (!tree.is_whole) {
    // Half a file has no rules to speak of, but may still say what to guard.
    FaultLog unheard(log.file());
    if (tree.root && tree.root->is(Node::Kind::map)) {
      const auto fields = Fields::of(*tree.root, "a database file", database_keys, unheard);
      read_identity(*fields, reading, unheard);
    }
  } else if (!is_filled(tree, "write `database`, `endpoint` and `rules`", log)) {
    // It holds nothing.
  } else if (const auto fields = Fields::of(*tree.root, "a database file", database_keys, log)) {
    Database database;
    database.place = log.place(tree.root->spot());
    read_identity(*fields, reading, log);
    DatabaseReader(log, now, reading.named_ranges).read(*fields, database);
    if (log.errors() == 0) {
      database.id = *reading.id;
      database.endpoint = *reading.endpoint;
      derive_rule_ids(database);
      reading.value = std::move(database);
    }
  }
  reading.faults = log.take();
  return reading;
}

}  // namespace

DatabaseResult read_database(const std::string& file, std::string_view bytes, WallTime now) {
  FaultLog log(file);
  return read_tree(read_yaml(bytes, log), log, now);
}

DatabaseText read_database_text(std::string file, std::string bytes, WallTime now) {
  DatabaseText text{std::move(file), std::move(bytes), now};
  FaultLog log(text.file);
  text.tree = read_yaml(text.bytes, log);
  text.reading = read_tree(text.tree, log, now);
  return text;
}

}  // namespace moat
