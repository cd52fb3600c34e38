// SPDX-License-Identifier: BSD-2-Clause
// What a fleet's store says, as far as it has been heard; and whether it is to be believed. Pure.
//
// A store that was wiped or restored tells of an older world, or of none, and says nothing about
// it: a watch that begins in its future is taken in silence. So a store is believed only while it
// has the id that it had, never goes back, and is not suddenly empty. A push that is meant to found
// a new store says so by its epoch.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "control/agent/etcd_messages.h"
#include "control/agent/fleet_files.h"
#include "control/agent/fleet_keys.h"

namespace moat {

// What is remembered of the store across restarts.
struct StoreMemory {
  std::string cluster;
  std::int64_t revision = 0;
  std::uint64_t epoch = 0;
  std::uint64_t push = 0;  // the last
};

class FleetMirror {
 public:
  FleetMirror(const std::string& fleet, StoreMemory memory)
      : prefix_(fleet_prefix(fleet)), memory_(std::move(memory)) {}

  // All keys, at one revision. The error: the store is not believed, and nothing was taken.
  [[nodiscard]] Result<> take_listing(const EtcdListing& listing);
  // What has changed: by a watch, or since the mirror's revision. True if anything has.
  [[nodiscard]] Result<bool> take_changes(const EtcdHeader& header,
                                          const std::vector<EtcdKey>& keys);

  // Whether the store has as many keys as the mirror; else something was missed.
  [[nodiscard]] bool has_all(std::int64_t count) const {
    return static_cast<std::int64_t>(keys_.size()) == count;
  }
  [[nodiscard]] bool is_known() const { return is_known_; }
  [[nodiscard]] const StoreMemory& memory() const { return memory_; }
  [[nodiscard]] const FleetHead& head() const { return head_; }

  // By kind and id what it says; a tombstone is a value like any other.
  [[nodiscard]] std::map<std::string, std::string> values(FleetKind kind) const;
  // Whether the last push waits to be confirmed, and whether nobody has confirmed it in time.
  [[nodiscard]] bool is_on_trial() const { return head_.confirm_s > 0 && keys_.contains("trial"); }
  [[nodiscard]] bool has_lapsed() const { return head_.confirm_s > 0 && !keys_.contains("trial"); }
  // What the hosts are to have: as it was pushed, or as it was before the last push.
  enum class Version : std::uint8_t { pushed, before };
  [[nodiscard]] FleetContent content(Version version) const;
  // Of what the last push has changed, what it was before; where it was to be confirmed.
  [[nodiscard]] FleetContent undo() const;

  // A sentence for each key that was not taken, or was deleted without a tombstone.
  [[nodiscard]] std::vector<std::string> complaints() const;

 private:
  [[nodiscard]] Result<> check(const EtcdHeader& header,
                               const std::optional<FleetHead>& head) const;
  void take(const EtcdKey& key);
  [[nodiscard]] FleetValues changed_before() const;

  struct Value {
    std::string bytes;
    std::int64_t revision = 0;
  };
  std::string prefix_;
  StoreMemory memory_;
  bool is_known_ = false;
  FleetHead head_;
  std::string head_fault_;
  std::map<std::string, Value> keys_;  // by what follows the prefix
  std::map<std::string, std::string> deleted_;
};

}  // namespace moat
