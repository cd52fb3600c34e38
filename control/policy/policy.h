// SPDX-License-Identifier: BSD-2-Clause
// The policy: all that the rule files say, as data. Nothing here knows YAML, the kernel or the
// disk.
//
//   Policy -+- mode                      of the host
//           +- databases: Database -+- endpoint   what is guarded
//           |                       +- rules      who may reach it, in file order
//           |                       +- peerings   private networks that its rules can name
//           +- ranges: ManagedRange --- cidrs     what a rule's managed range stands for
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "control/policy/prefix.h"
#include "control/text/fault.h"

namespace moat {

using WallTime = std::chrono::sys_seconds;

enum class Mode : std::uint8_t { enforce, monitor };

// TCP over IPv6 to a host that has a wholly private IPv4 address.
enum class Ipv6 : std::uint8_t { closed, open };

// What a database is reached at. `all` needs an address and leaves `ports` empty.
struct Endpoint {
  std::optional<Address> address;    // nothing: every IPv4 address of the host
  std::vector<std::uint16_t> ports;  // TCP, host byte order, in file order, no duplicates
  bool all = false;                  // every packet to `address`, whatever its protocol
  std::optional<Ipv6> ipv6;          // with `all`; nothing: open, and nobody said that it is meant

  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

// Whether it guards that port by name, and not with `ports: all`.
[[nodiscard]] bool names_port(const Endpoint& endpoint, std::uint16_t port);

// How a rule names its source. Of rules that match by equal prefixes, the kind that stands first
// here gets the hit.
enum class SourceKind : std::uint8_t { cidr, managed_range, net_peering };

// One allowed source: a CIDR, a managed range or a net peering, exactly one of the three.
struct Rule {
  std::string id;  // written in the file, or derived (see derive_rule_ids)
  std::optional<Prefix> cidr;
  std::string managed_range;
  std::string net_peering;  // id of one of the database's
  std::string label;
  std::optional<WallTime> expires;  // matches before this time, not at it or after
  Place place;

  [[nodiscard]] SourceKind kind() const;

  // What the file calls the source: "198.51.100.25/32", "mr-scalingo-osc-fr1" or "pcx-123456789".
  [[nodiscard]] std::string source() const;

  [[nodiscard]] bool is_expired(WallTime now) const { return expires && *expires <= now; }
};

// A peered private network, registered. It admits nobody: a rule does, by its id or by a CIDR in
// it.
struct NetPeering {
  std::string id;
  Prefix cidr;
  std::string account;  // whose network it is, as its provider calls them
  std::string label;
  Place place;

  // Whether the file says the same of both, wherever it does.
  [[nodiscard]] bool says_the_same(const NetPeering& other) const {
    return id == other.id && cidr == other.cidr && account == other.account && label == other.label;
  }
};

// What somebody relies on: that the rules let a source in, or that they keep it out. It decides
// about no packet; a version of a file by which it would not hold is held back.
struct Expectation {
  bool allowed = true;
  Address source{};  // that can be a client's
  std::string label;
  Place place;

  // "standby (10.0.3.7)", or the address alone
  [[nodiscard]] std::string name() const;
  [[nodiscard]] bool is_same(const Expectation& other) const {
    return allowed == other.allowed && source == other.source;
  }
};

struct Database {
  std::string id;
  Endpoint endpoint;
  std::vector<Rule> rules;
  std::vector<NetPeering> peerings;
  std::optional<Mode> mode;  // nothing: the host's
  Place place;
  // Stands for an endpoint that is closed to all until its file can be used: see Placeholder.
  bool is_placeholder = false;
  std::vector<Expectation> expectations = {};  // in file order

  [[nodiscard]] const NetPeering* find_peering(std::string_view peering) const;
};

using Prefixes = std::vector<Prefix>;

// What has left a managed range and stays allowed for a while all the same: see
// control/resolve/hold_down.h.
struct HeldDown {
  WallTime since;                         // when it left
  WallTime until;                         // matches before this time, not at it or after
  std::shared_ptr<const Prefixes> cidrs;  // never null, ascending

  [[nodiscard]] bool is_over(WallTime now) const { return until <= now; }
};

struct ManagedRange {
  std::string id;
  std::string name;
  std::shared_ptr<const Prefixes> cidrs;  // never null, in file order
  Place place;
  std::vector<HeldDown> held_down = {};  // by `until`, ascending
};

struct Policy {
  Mode mode = Mode::enforce;
  std::vector<Database> databases;  // by id, ascending
  std::map<std::string, ManagedRange, std::less<>> ranges;

  [[nodiscard]] const Database* find(std::string_view database) const;
  [[nodiscard]] Mode mode_of(const Database& database) const {
    return database.mode.value_or(mode);
  }
};

// The networks that a rule of `database` stands for; none where what it names is not there.
[[nodiscard]] std::span<const Prefix> prefixes_of(const Policy& policy, const Database& database,
                                                  const Rule& rule);

// What the managed range that a rule names holds down, whether or not that is over.
[[nodiscard]] std::span<const HeldDown> held_down_of(const Policy& policy, const Rule& rule);

// The first rule that lets in some of the peered network, by whatever it names; null: none does.
// Rules that have expired at `now` are passed over. Linear in the database's prefixes.
[[nodiscard]] const Rule* find_admitting(const Policy& policy, const Database& database,
                                         const NetPeering& peering, WallTime now);

// Gives each rule that has none an id: "r-" and 8 hex digits of FNV-1a over its source, which a
// change of label, expiry or order does not touch. Rules of the database whose ids would be the
// same, or one that is written, get 16 digits each, of FNV-1a of 64 bits: an id never goes over
// from one of them to another. Should such an id be taken, too, the next free number, in file
// order.
void derive_rule_ids(Database& database);

// The oracle: the slow and obvious way to say what the policy means, straight from its rules and
// without the table. Tests hold the table against it, and `moat why` speaks from it.
struct Match {
  const Rule* rule = nullptr;                    // never null
  Prefix prefix;                                 // the CIDR that matched
  std::optional<WallTime> held_down_until = {};  // where the CIDR has left its managed range

  // When it no longer matches; nothing: never.
  [[nodiscard]] std::optional<WallTime> ends() const;
};

// The most specific prefix of `database` that holds `source` and has not expired at `now`. On a tie
// a cidr before a managed range before a net peering, then file order. Linear in the policy's
// prefixes.
[[nodiscard]] std::optional<Match> find_match(const Policy& policy, const Database& database,
                                              Address source, WallTime now);

// The same of several sources, in their order, for little more than one costs.
[[nodiscard]] std::vector<std::optional<Match>> find_matches(const Policy& policy,
                                                             const Database& database,
                                                             std::span<const Address> sources,
                                                             WallTime now);

// Which database guards TCP `port` of `destination`, or any packet to it with `ports: all`: one
// with that address before one without. Without a destination: of an address that no database
// names.
[[nodiscard]] const Database* find_guard(const Policy& policy, std::optional<Address> destination,
                                         std::uint16_t port);

// Sources that can be no client's: 0/8, 127/8, 224/4, 240/4. Refused whether listed or not.
[[nodiscard]] bool is_martian(Address source);

[[nodiscard]] std::string_view to_string(SourceKind kind);
[[nodiscard]] std::string_view to_string(Mode mode);
[[nodiscard]] std::expected<Mode, Error> parse_mode(std::string_view text);

// Those in monitor mode, in the policy's order. They live as long as it does.
[[nodiscard]] std::vector<const Database*> find_monitored(const Policy& policy);
// What is added where a policy is said to be enforced, and drops nothing for some of its databases:
// " (monitor mode: nothing is dropped)", or of how many that is so; empty: of none.
[[nodiscard]] std::string describe_monitored(const Policy& policy);

// "90 s", "7 min", "3 h", "5 d": from two of a unit on in that one; a negative one is 0 s.
[[nodiscard]] std::string format_age(std::chrono::system_clock::duration age);

// RFC 3339 in UTC, whole seconds: 2027-01-31T18:00:00Z.
[[nodiscard]] std::string format_time(WallTime time);
// 2027-01-31T18:00:00.123Z
[[nodiscard]] std::string format_time_ms(std::chrono::system_clock::time_point time);
[[nodiscard]] std::expected<WallTime, Error> parse_time(std::string_view text);

}  // namespace moat
