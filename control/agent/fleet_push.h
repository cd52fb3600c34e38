// SPDX-License-Identifier: BSD-2-Clause
// A new version of a fleet: what it changes, and how it goes out to the hosts. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "control/agent/fleet_files.h"
#include "control/agent/fleet_keys.h"
#include "dataplane/error.h"

namespace moat {

// By key what is in the store and what shall be. What is in the store and not in `wanted` is an
// error: what shall go is named in removed.yaml.
[[nodiscard]] Result<FleetPush> plan_push(const FleetContent& stored, const FleetContent& wanted);

// The same where the last push has lapsed: nobody has confirmed it, and hosts have what was there
// before. What it has changed is changed back in the store, but for what `wanted` says otherwise;
// `before` of the answer is what hosts have.
[[nodiscard]] Result<FleetPush> plan_push_after_lapse(const FleetContent& stored,
                                                      const FleetValues& before,
                                                      const FleetContent& wanted);

// What takes the fleet back to how it was after push number `to`.
[[nodiscard]] Result<FleetPush> plan_rollback(const std::vector<FleetPush>& history,
                                              std::uint64_t to);

// "databases/orders  changed"
[[nodiscard]] std::vector<std::string> describe_push(const FleetPush& push);

// "1%,10%,100%": ascending, the last is 100. In hundredths of a per cent.
[[nodiscard]] Result<std::vector<unsigned>> parse_stages(std::string_view text);

// The share, in millionths, by which at least that part of the hosts, and one at least, takes the
// push. `part`: in hundredths of a per cent.
[[nodiscard]] std::uint64_t share_for(const std::vector<std::string>& hosts, std::uint64_t push,
                                      unsigned part);

// How the hosts stand to a push.
struct FleetProgress {
  unsigned hosts = 0;                // that it concerns
  unsigned enforced = 0;             // or written, where they have no moatd to ask
  std::vector<std::string> missing;  // no receipt of this push
  std::vector<std::string> failed;   // "db1: why"
  std::vector<std::string> undone;   // where nobody has confirmed it
  std::uint64_t ended_sessions = 0;
  std::vector<std::uint64_t> latencies;  // microseconds, ascending

  [[nodiscard]] bool is_done() const { return enforced == hosts && failed.empty(); }
};

[[nodiscard]] FleetProgress progress_of(const FleetHead& head,
                                        const std::vector<std::string>& hosts,
                                        const std::vector<FleetReceipt>& receipts);

// The hosts that are expected: those of the last push, and those with a receipt.
[[nodiscard]] std::vector<std::string> hosts_of(const std::vector<std::string>& known,
                                                const std::vector<FleetReceipt>& receipts);

}  // namespace moat
