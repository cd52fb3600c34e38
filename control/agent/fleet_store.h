// SPDX-License-Identifier: BSD-2-Clause
// A fleet's store for people who push: each call waits for its answer.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "control/agent/etcd_client.h"
#include "control/agent/etcd_messages.h"
#include "control/agent/fleet_files.h"
#include "control/agent/fleet_keys.h"

namespace moat {

// All that a fleet's store says at one revision.
struct StoredFleet {
  std::int64_t head_revision = 0;  // 0: there was no push yet
  FleetHead head;
  FleetContent content;
};

class FleetStore {
 public:
  explicit FleetStore(const FleetSettings& settings) : settings_(settings), access_(settings) {}

  [[nodiscard]] Result<StoredFleet> read();
  [[nodiscard]] Result<std::vector<FleetPush>> history();  // ascending
  [[nodiscard]] Result<std::vector<FleetReceipt>> receipts();

  // Writes what the push changes, the head and the entry of the history at once, unless somebody
  // has pushed since `head_revision`. The revision of the store.
  [[nodiscard]] Result<std::int64_t> push(const FleetPush& push, const FleetHead& head,
                                          std::int64_t head_revision);
  // Another head alone, for the next share of the hosts.
  [[nodiscard]] Result<std::int64_t> set_head(const FleetHead& head, std::int64_t head_revision);

 private:
  [[nodiscard]] Result<std::string> call(const std::string& path, const std::string& body);
  [[nodiscard]] Result<std::string> call_member(const std::string& path, const std::string& body,
                                                bool may_renew = true);
  [[nodiscard]] Result<EtcdListing> list(const std::string& prefix);
  [[nodiscard]] Result<std::int64_t> write(const std::vector<EtcdKey>& puts,
                                           std::int64_t head_revision);

  FleetSettings settings_;
  EtcdAccess access_;
};

}  // namespace moat
