// SPDX-License-Identifier: BSD-2-Clause
// Where a fleet keeps what:
//
//   /moat/v1/FLEET/head               FleetHead: the last push
//   /moat/v1/FLEET/databases/ID       a database file
//   /moat/v1/FLEET/labels/ID          the database's labels, by which hosts select; one a line
//   /moat/v1/FLEET/ranges/ID          a managed range: CIDRs, one a line
//   /moat/v1/FLEET/trial              as long as the last push can be confirmed: its number
//   /moat/v1/FLEET/before             FleetPush: what was there before that push, if it is to be
//   /moat/v1-history/FLEET/NUMBER     FleetPush: what a push has changed
//   /moat/v1-receipts/FLEET/HOST      FleetReceipt: how far a host is
//   /moat/v1-hosts/FLEET              the hosts that were there at the last push, as a JSON list
//
// What hosts write and what only people read lies outside of the fleet's own prefix, so that a host
// which watches that hears of nothing else: else each of 10,000 receipts would be told to 10,000
// hosts. For the same reason the head has no list of hosts.
//
// Nothing is ever removed by being absent: what shall go has a tombstone for a value.
//
// A push that is to be confirmed has `confirm_s` in its head, and its trial key a lease of that
// length: so the store alone decides when the time is over, and a confirmation that comes later
// finds no key. Once the key is gone, `before` counts for what the push has changed.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/error.h"

namespace moat {

// A share of the hosts is in millionths: see position_of().
inline constexpr std::uint64_t all_shares = 1'000'000;

// Of a push that is to be confirmed.
inline constexpr std::uint64_t shortest_trial_s = 5;
inline constexpr std::uint64_t longest_trial_s = 3600;

inline constexpr std::string_view tombstone = "moat: removed\n";

enum class FleetKind : std::uint8_t { head, trial, before, database, labels, range };

struct FleetKey {
  FleetKind kind = FleetKind::head;
  std::string id;
};

[[nodiscard]] std::string fleet_prefix(const std::string& fleet);
[[nodiscard]] std::string fleet_key(const std::string& fleet, FleetKind kind,
                                    const std::string& id);
// Of "databases/orders", without the prefix. The error says what is wrong with it.
[[nodiscard]] Result<FleetKey> parse_fleet_key(std::string_view path);
[[nodiscard]] std::string history_prefix(const std::string& fleet);
[[nodiscard]] std::string receipts_prefix(const std::string& fleet);
[[nodiscard]] std::string hosts_key(const std::string& fleet);

// [a-z0-9] and then up to 62 of [a-z0-9._-], as ids are.
[[nodiscard]] bool is_id(std::string_view text);

struct FleetHead {
  std::uint64_t push = 0;  // counts up
  std::string author;
  std::string time;
  std::string message;
  // Of hosts that take it, by position_of(): in millionths. The others wait.
  std::uint64_t share = all_shares;
  // A store in which this is greater is followed though it is not the one that was known.
  std::uint64_t epoch = 0;
  std::uint64_t host_count = 0;  // that are expected to follow
  std::uint64_t confirm_s = 0;   // within which it is to be confirmed; 0: it stays
};

// By key without the fleet's prefix.
using FleetValues = std::map<std::string, std::optional<std::string>>;

// What a push has changed: by key without the prefix what was there before and after. No value: no
// key.
struct FleetPush {
  std::uint64_t push = 0;
  std::string author;
  std::string time;
  std::string message;
  FleetValues before;
  FleetValues after;
};

struct FleetReceipt {
  std::string host;
  std::uint64_t push = 0;        // of the head that was taken
  std::int64_t revision = 0;     // of the store, of the last change that was taken
  std::uint64_t generation = 0;  // of moatd's that enforces it; 0: it is not enforced
  std::uint64_t latency_us = 0;  // from the push's arrival to enforced
  std::uint64_t ended_sessions = 0;
  std::string time;                    // when that was
  std::vector<std::string> held_back;  // a sentence each
  std::string problem;                 // why it is not enforced
  bool is_undone = false;              // nobody has confirmed it
  std::string version;                 // of the agent
};

[[nodiscard]] std::string to_json(const FleetHead& head);
[[nodiscard]] std::string to_json(const FleetPush& push);
[[nodiscard]] std::string to_json(const FleetReceipt& receipt);
[[nodiscard]] std::string to_json(const std::vector<std::string>& hosts);
[[nodiscard]] Result<std::vector<std::string>> parse_hosts(std::string_view json);
[[nodiscard]] Result<FleetHead> parse_head(std::string_view json);
[[nodiscard]] Result<FleetPush> parse_push(std::string_view json);
[[nodiscard]] Result<FleetReceipt> parse_receipt(std::string_view json);

// How long a host waits with its receipt, so that not all of a large fleet write at once, when
// others have not even heard of the push: a host each half millisecond.
[[nodiscard]] std::chrono::milliseconds receipt_delay(const std::string& host,
                                                      const FleetHead& head);

// Where a host stands in the order in which hosts take a push, 0 to 999,999: another one for each
// push, so that it is not always the same hosts that go first.
[[nodiscard]] std::uint64_t position_of(const std::string& host, std::uint64_t push);

}  // namespace moat
