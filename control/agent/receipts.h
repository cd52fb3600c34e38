// SPDX-License-Identifier: BSD-2-Clause
// Tells a fleet's store how far this host is: what was pushed, and the generation of moatd's that
// enforces it. A receipt has a lease, and so goes when the host is gone for some minutes.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "control/agent/etcd_client.h"
#include "control/agent/fleet.h"
#include "control/agent/fleet_keys.h"

namespace moat {

class Receipts {
 public:
  // `client` must outlive this, and `tools` what it refers to.
  Receipts(FleetTools tools, FleetSettings settings, EtcdClient& client);

  // To be called before anything else.
  [[nodiscard]] Result<> arm();

  // A push was taken, or undone. moatd is asked to enforce it first, and which generation does.
  void tell(const FleetHead& head, std::int64_t revision, const std::vector<std::string>& held_back,
            bool is_undone);
  // Renews the lease, and the receipt where the lease has ended.
  void keep_alive();

 private:
  void ask_moatd();
  void take_enforced(const Result<FetchAnswer>& answer);
  void put_in_turn();
  void put();
  void grant();
  void put_with_lease();

  FleetTools tools_;
  FleetSettings settings_;
  EtcdClient& client_;
  std::unique_ptr<Fetcher::Transfer> moatd_;
  std::optional<FleetReceipt> receipt_;
  std::chrono::milliseconds delay_{0};  // of that one
  EventLoop::Timer timer_;
  std::chrono::steady_clock::time_point begun_;
  std::int64_t lease_ = 0;
  bool is_putting_ = false;
  bool has_news_ = false;  // that came while a receipt was on its way
};

}  // namespace moat
