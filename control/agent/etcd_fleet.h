// SPDX-License-Identifier: BSD-2-Clause
// Follows a fleet in etcd: lists all there is at one revision, then watches from the next.
//
//   list --> files --> watch --+--> changes --> files --> receipt
//    ^                         +--> ended, compacted: list again
//    +-- reconcile: asks for what has changed, whether the watch tells or not
//
// A push that is to be confirmed is undone when the store says that its time is over, or by the
// host's own timer: what was pushed may be what keeps it from the store.
//
// What keeps a change from being missed is the reconcile, not the watch: a watch can be silent.
#pragma once

#include <optional>
#include <string>

#include "control/agent/etcd_client.h"
#include "control/agent/fleet.h"
#include "control/agent/fleet_files.h"
#include "control/agent/fleet_mirror.h"
#include "control/agent/receipts.h"

namespace moat {

class EtcdFleet final : public Fleet {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Fleet>> make(const FleetTools& tools,
                                                           const FleetSettings& settings,
                                                           const AgentFleet* before);
  [[nodiscard]] const AgentFleet& status() const override { return status_; }

 private:
  EtcdFleet(FleetTools tools, FleetSettings settings, const AgentFleet* before);

  void list();
  void take_listing(const Result<std::string>& answer);
  void watch();
  void take_line(const std::string& line);
  void reconcile();
  void take_changes(const Result<std::string>& answer);
  void apply(bool is_news);
  void follow_trial(const FleetContent& pushed);
  void end_trial();
  [[nodiscard]] bool is_undone() const;
  [[nodiscard]] bool is_in_turn() const;
  void fail(const Error& error);
  void note_good();

  FleetTools tools_;
  FleetSettings settings_;
  std::string host_;
  EtcdClient client_;
  FleetMirror mirror_;
  Receipts receipts_;
  AgentFleet status_;
  unsigned failures_ = 0;
  bool is_listing_ = false;
  EventLoop::Timer retry_timer_;
  EventLoop::Timer reconcile_timer_;
  EventLoop::Timer trial_timer_;
};

}  // namespace moat
