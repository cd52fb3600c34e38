// SPDX-License-Identifier: BSD-2-Clause
// The NAT rules of a host, as far as they concern TCP: which packets are given another destination,
// which connections another source.
//
//   `nft -j list ruleset` --> parse_nft_nat ------+
//   `iptables-save -t nat` -> parse_iptables_nat -+-> NatRuleset --> flatten --> NatRule...
//
// What is read here is read to warn: a condition that is not understood (a mark, a source, the
// state of a connection) is left out, so that a rule seems to take more packets than it does, never
// fewer.
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "control/cli/address_range.h"
#include "control/policy/port_range.h"
#include "control/policy/prefix.h"

namespace moat {

// Packets by destination.
struct NatPackets {
  bool tcp = true;  // TCP is among them
  std::vector<PortRange> ports{{0, 65535}};
  std::vector<AddressRange> destinations{AddressRange{}};  // IPv4; IPv6 ones are not told apart
  bool ports_are_known = true;  // false: a condition that may concern the port was not understood

  [[nodiscard]] bool is_empty() const { return !tcp || ports.empty() || destinations.empty(); }
  friend bool operator==(const NatPackets&, const NatPackets&) = default;
};

struct NatRule {
  enum class Kind { destination, source };
  Kind kind = Kind::destination;
  std::string place;  // for a person to find it: "table ip t, chain p, handle 8"
  bool ipv6 = false;
  NatPackets packets;

  // The new destination, as the rule has it: an address, or a range of them. Empty: this host.
  std::string target;

  // The ports that the packet is given: for its destination; or for its source, one of these at
  // the kernel's choice. Nothing: as it was, and for a source another one where that is taken.
  std::optional<PortRange> new_ports;

  // Of a source: a port at random, also where the connection's own is free.
  bool is_random = false;
  // What else the packets of a source rule must be, in the rule's words: two rules of one chain
  // with the same ones take the same packets.
  std::string conditions;
};

// One step of a chain: a rule, or the way to another chain.
struct NatStep {
  NatPackets packets;
  std::string jump;  // a chain; empty: none
  std::optional<NatRule> rule;
};

struct NatRuleset {
  std::map<std::string, std::vector<NatStep>> chains;
  std::vector<std::string> prerouting;  // chains that packets meet as they come in
  std::vector<std::string> postrouting;
  std::vector<std::string> unread;  // places of NAT rules that were not understood
  bool has_iptables4 = false;       // rules of iptables-nft, which nft does not show whole
  bool has_iptables6 = false;
  std::set<std::string> chain_names;  // "inet firewalld filter_INPUT": of all tables, NAT or not
};

// The error says what is not as it should be, and where.
[[nodiscard]] std::expected<NatRuleset, std::string> parse_nft_nat(std::string_view json);

// Of iptables-save or, with `ipv6`, ip6tables-save.
[[nodiscard]] std::expected<NatRuleset, std::string> parse_iptables_nat(std::string_view text,
                                                                        bool ipv6);

// Those of both that packets can meet, in the order in which they do: each with what its own chain
// and those that lead there ask of a packet.
[[nodiscard]] std::vector<NatRule> flatten(const NatRuleset& ruleset);

[[nodiscard]] NatPackets both(const NatPackets& a, const NatPackets& b);
[[nodiscard]] std::vector<PortRange> all_but(const std::vector<PortRange>& ports);

// The rules of this host and network namespace, now.
struct NatResult {
  std::vector<NatRule> rules;
  std::vector<std::string> unread;     // what was not looked at or not understood, a sentence each
  std::vector<std::string> firewalls;  // names of those that filter here beside Moat: "ufw"
};

// Runs nft, and iptables-save where there are rules of iptables. Needs root.
[[nodiscard]] NatResult read_nat_rules();

}  // namespace moat
