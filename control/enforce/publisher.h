// SPDX-License-Identifier: BSD-2-Clause
// The last steps of a rule's way: policy -> slots -> table -> kernel -> state on disk.
//
//   publish(resolution)
//     same verdicts as now? ------------------------ yes: no table is compiled
//     slots assigned, table compiled
//     same content as the live table? -------------- yes: adopted, the generation stays
//     staged and committed by the backend ---------- failed: nothing has changed
//   finish(), once what is urgent is done
//     counters of freed slots folded, state saved, counters that nobody has any more cleared
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "control/enforce/counter_accounts.h"
#include "control/enforce/expiry_clock.h"
#include "control/os/clock.h"
#include "control/resolve/hold_down.h"
#include "control/resolve/resolution.h"
#include "control/state/state.h"
#include "dataplane/backend.h"
#include "dataplane/error.h"

namespace moat {

// Whether every packet gets the same verdict and counts for the same rule: labels, names and places
// in files may differ.
[[nodiscard]] bool same_verdicts(const Policy& a, const Policy& b);

// Whether two tables say the same apart from their generation. Deadlines may be apart by as much as
// two readings of the clocks are.
[[nodiscard]] bool same_content(const Table& a, const Table& b);

// Whether both say the same where no packet is judged by it: labels of rules, what net peerings are
// registered, and what is expected.
[[nodiscard]] bool same_notes(const Policy& a, const Policy& b);

// `policy` without the rules that have expired by then, and what was held down until then.
[[nodiscard]] Policy without_expired(const Policy& policy, WallTime now);

class Publisher {
 public:
  using Clocks = std::function<ClockReading()>;

  // `backend` and `store` must outlive this.
  Publisher(Backend& backend, StateStore& store, State state, Clocks clocks);

  // Takes a live table over from the daemon before, so that publish() leaves it alone if it says
  // what it should. Where the state on disk is lost, or older than this table, what was enforced
  // last is not known: then the table stays live until every file says for itself what it should
  // be, and they leave no port open that the table guards.
  void adopt(Table live);

  // Numbers new generations from beyond this one, which an earlier state has had.
  void number_after(std::uint64_t generation) { number_after_ = generation; }

  struct PublishResult {
    std::uint64_t generation = 0;  // live now
    bool committed = false;        // a new one
    std::chrono::steady_clock::time_point enforced_at;
  };
  // On an error what was enforced before still is. `no_help`: a file that should have had a say and
  // is not to be used, or empty.
  [[nodiscard]] Result<PublishResult> publish(const Resolution& resolution,
                                              const std::string& no_help = {});

  // Compiles and publishes once more what is enforced: because a rule has expired, or the clocks
  // have moved against each other. `forced`: even if it seems to be live already.
  [[nodiscard]] Result<PublishResult> renew(bool forced = false);

  // Guards the endpoints of `policy` and allows nobody, until the next publish(): for a host on
  // which nothing else can be published and nothing is live. What was enforced last is not
  // forgotten.
  [[nodiscard]] Result<PublishResult> close(Policy policy);

  // What there is to do after a publish() or renew() for which nobody has to wait. On an error the
  // state is not on disk; what is enforced stays enforced, and save() may be tried again.
  [[nodiscard]] Result<> finish();

  // See StateStore.
  [[nodiscard]] std::string digest_of(const std::shared_ptr<const Prefixes>& cidrs) const {
    return store_.digest_of(cidrs);
  }

  // Whether the clocks give renew() something to do.
  [[nodiscard]] bool is_due() const;

  // Whether what was published is what packets are judged by; quick. Errors: that cannot be told.
  [[nodiscard]] Result<bool> is_live() const;

  // Error: what does not judge by the live generation yet, and why. See Backend.
  [[nodiscard]] Result<> check_everywhere() const { return backend_.check_everywhere(); }

  // What is wrong with the live generation, if it is not what it should be: compares its bytes.
  [[nodiscard]] std::optional<std::string> inspect();

  // When the next rule expires.
  [[nodiscard]] std::optional<WallTime> next_expiry() const;

  // Reads all counters and clocks; rules with new hits get the time as their last hit.
  [[nodiscard]] Result<> sample();

  // Writes the state, if anything in it is not on disk yet.
  [[nodiscard]] Result<> save();

  // Has the next resolution take this version of a managed range, however much it changes.
  void accept(const std::string& range, const std::string& digest) {
    is_unsaved_ |= std::exchange(state_.accepted[range], digest) != digest;
  }

  // Ends the guard of a database, from the next resolution on.
  void forget(const std::string& database) { state_.forgotten.insert(database); }

  // What moat.yaml says, for a daemon that finds it broken.
  void keep_settings(const std::string& bytes) {
    is_unsaved_ |= state_.settings != bytes;
    state_.settings = bytes;
  }

  // What a change has left open, for the daemon after this one.
  void keep_exposed(const std::vector<ExposedPort>& ports) {
    is_unsaved_ |= state_.exposed != ports;
    state_.exposed = ports;
  }

  // What is pinned, for the daemon after this one.
  void keep_pins(const std::string& folder, std::map<std::string, std::uint32_t> ids);

  [[nodiscard]] const State& state() const { return state_; }
  [[nodiscard]] const EnforcedState* enforced() const {
    return state_.enforced ? &*state_.enforced : nullptr;
  }
  // Whether `enforced` is what the live table says: see adopt().
  [[nodiscard]] bool knows_policy() const { return !is_unsure_; }
  // Whether what is live is by close().
  [[nodiscard]] bool is_closed() const { return is_closed_; }
  // What is live; empty before the first commit.
  [[nodiscard]] const Table& table() const { return table_; }
  // Whether `table` is known to be compiled from what is enforced.
  [[nodiscard]] bool is_compiled() const { return compiled_at_.has_value(); }
  // Rules that expire by then are not in it; nothing: where it is not known.
  [[nodiscard]] std::optional<WallTime> expired_until() const {
    return compiled_at_ ? std::optional(expired_until_) : std::nullopt;
  }
  [[nodiscard]] std::uint64_t generation() const { return table_ ? table_.header().generation : 0; }
  // As last sampled; MOAT_COUNTER_SLOTS of them, or none before that.
  [[nodiscard]] const std::vector<moat_counter>& counters() const { return accounts_.counters(); }
  [[nodiscard]] ClockPair clocks() const { return clocks_().now; }
  // Rules that expire by then have expired: now, or the latest time that is known to have come.
  [[nodiscard]] WallTime expiry_time() const { return expiry_clock_.now(clocks_()); }
  // And by which they have if the wall clock is not to be believed.
  [[nodiscard]] ResolveTime resolve_time() const {
    const auto now = expiry_time();
    return {now, std::min(now, expiry_clock_.latest().time)};
  }
  // What is held of the wall clock; as of observe_clock().
  [[nodiscard]] const ExpiryClock& expiry_clock() const { return expiry_clock_; }
  // Looks what the clocks are up to. What follows from it is_due().
  void observe_clock();
  // Somebody says that the wall clock is right; renew() enforces what follows from it.
  void confirm_clock();
  // Rules that have expired if the wall clock is right, and have not if it is not believed.
  [[nodiscard]] std::size_t doubtful_rules() const;

 private:
  [[nodiscard]] Result<PublishResult> commit(const Policy& policy, bool forced,
                                             const std::optional<Error>& objection = {});
  [[nodiscard]] std::optional<Error> object_to(const Resolution& resolution,
                                               const std::string& no_help) const;

  Backend& backend_;
  StateStore& store_;
  State state_;
  Clocks clocks_;
  ExpiryClock expiry_clock_;
  CounterAccounts accounts_;
  bool is_unsaved_ = false;
  bool is_unsure_ = false;  // of what was enforced last: see adopt()
  bool is_closed_ = false;
  Table table_;
  std::uint64_t number_after_ = 0;
  std::optional<ClockPair> compiled_at_;  // nothing: `table_` was adopted and not compared yet
  WallTime expired_until_{};              // rules that expire by then are not in `table_`
};

}  // namespace moat
