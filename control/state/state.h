// SPDX-License-Identifier: BSD-2-Clause
// What moatd must know after a restart, and the folder that keeps it.
//
//   /var/lib/moat/lock              held by the one daemon that uses the folder
//                 state.json        all but the CIDRs of managed ranges; checksummed
//                 state.json.corrupt  the last one that could not be used
//                 ranges/DIGEST.cidrs  the CIDRs of all managed ranges, named by their content
//
// The CIDRs are apart because they are large and seldom change: a commit writes state.json, and
// them only if no file has that content yet. They come first, then state.json, then what no state
// names any more is removed: at each instant of a crash, the state on disk is whole.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "bpf/abi.h"
#include "control/policy/policy.h"
#include "control/resolve/resolution.h"
#include "control/state/counter_slots.h"
#include "dataplane/error.h"
#include "dataplane/fd.h"

namespace moat {

// Of a rule: what its counter was when it was last seen to have grown.
struct LastHit {
  WallTime time{};
  std::uint64_t packets = 0;

  friend bool operator==(const LastHit&, const LastHit&) = default;
};

// The latest time that is known to have come, and when that was on the monotonic clock; see
// expiry_clock.h.
struct LatestTime {
  WallTime time{};
  std::string boot;  // which boot the monotonic clock counts from
  std::chrono::nanoseconds monotonic{};

  friend bool operator==(const LatestTime&, const LatestTime&) = default;
};

// What was pinned in the kernel, and under which folder, in that boot: the next one begins without
// any pins. Ids of objects, by the names of their pins.
struct LastPins {
  std::string boot;
  std::string folder;
  std::map<std::string, std::uint32_t> ids;

  friend bool operator==(const LastPins&, const LastPins&) = default;
};

// A port that some database guarded, and that everybody reaches since: nobody guards it any more,
// or another database that is in monitor mode or lets most addresses in.
struct ExposedPort {
  std::string database;
  std::optional<Address> address;  // nothing: on every address
  std::uint16_t port = 0;          // 0: every port of `address`

  friend bool operator==(const ExposedPort&, const ExposedPort&) = default;
};

struct State {
  std::uint64_t generation = 0;           // the last one committed
  std::optional<EnforcedState> enforced;  // nothing: a first start
  // Ranges in `enforced` have lost their CIDRs, and let nobody in until their files are read.
  bool is_incomplete = false;
  Slots slots;
  std::map<std::string, moat_counter> retired;  // by database: what removed rules let pass
  std::map<SlotKey, LastHit> last_hits;
  std::map<SlotKey, WallTime> counted_since;  // when their counts began
  LatestTime latest_time;
  std::set<std::string> forgotten;  // databases whose guard was ended, until that is enforced
  std::map<std::string, std::string> accepted;  // versions, by managed range: see RangeUpdates
  LastPins pins;
  std::vector<ExposedPort> exposed;  // the latest 1,000 at most
  std::string settings;              // the bytes of moat.yaml that were last in force
};

struct LoadedState {
  State state;
  // What of the state could not be used, and why, as sentences. Never silent: a state that is
  // corrupt as a whole is moved aside and counts as none; a managed range whose CIDRs are lost is
  // empty.
  std::vector<std::string> problems;
};

struct ListDigests;  // of state_json.h

class StateStore {
 public:
  // Locks the folder, which is created if it is not there. Where that fails, the state is not to be
  // saved and yet may be there to load: a disk that is full or read-only is no reason not to guard.
  // save() tries again and says why. Error: another process has the folder; it is named by its pid.
  [[nodiscard]] static Result<StateStore> open(const std::string& folder);

  // Nothing is believed that others than root could have written.
  [[nodiscard]] LoadedState load();

  // cidrs_digest(), which takes a sort: remembered for each list that was asked for or kept.
  [[nodiscard]] std::string digest_of(const std::shared_ptr<const Prefixes>& cidrs) const;

  // On return the state is on disk, or the old one still is. Errors: the disk takes nothing, others
  // than root can change the folder or its lock, or another process has it by now.
  [[nodiscard]] Result<> save(const State& state);

 private:
  explicit StateStore(std::string folder) : folder_(std::move(folder)) {}

  // A list is told by its address from one save to the next, as its digest takes a sort.
  struct Known {
    std::weak_ptr<const Prefixes> cidrs;
    std::string digest;
  };

  // What is in the way of writing to the folder.
  struct Obstacle {
    Error error;
    bool is_other_moatd = false;
  };
  [[nodiscard]] std::optional<Obstacle> take();
  void load_lists(LoadedState& loaded, const ListDigests& digests);
  void remove_all_but(const std::string& lists) const;
  [[nodiscard]] std::string lists_path(const std::set<std::string>& digests) const;

  std::string folder_;
  Fd lock_;
  bool is_ready_ = false;  // locked, and its folders are there
  mutable std::map<const Prefixes*, Known> known_;
};

}  // namespace moat
