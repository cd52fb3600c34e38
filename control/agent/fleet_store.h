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
  bool is_on_trial = false;  // the last push can still be confirmed
  FleetValues before;        // that push, if it was to be confirmed

  [[nodiscard]] bool has_lapsed() const { return head.confirm_s > 0 && !is_on_trial; }
};

class FleetStore {
 public:
  explicit FleetStore(const FleetSettings& settings) : settings_(settings), access_(settings) {}

  [[nodiscard]] Result<StoredFleet> read();
  [[nodiscard]] Result<std::vector<FleetPush>> history();  // ascending
  // Of hosts whose name begins so.
  [[nodiscard]] Result<std::vector<FleetReceipt>> receipts(const std::string& host = "");

  // That were there at the last push, ascending.
  [[nodiscard]] Result<std::vector<std::string>> hosts();

  // Writes what the push changes, the head and the entry of the history at once, unless somebody
  // has pushed since `head_revision`; what is known of a push before that was to be confirmed goes.
  // The revision of the store.
  [[nodiscard]] Result<std::int64_t> push(const FleetPush& push, const FleetHead& head,
                                          const std::vector<std::string>& hosts,
                                          std::int64_t head_revision);
  // The last push stays; `head` says so. Refused where its time is over.
  [[nodiscard]] Result<> confirm(const FleetHead& head, std::int64_t head_revision);
  // Another head alone, for the next share of the hosts.
  [[nodiscard]] Result<std::int64_t> set_head(const FleetHead& head, std::int64_t head_revision);

 private:
  [[nodiscard]] Result<std::string> call(const std::string& path, const std::string& body);
  [[nodiscard]] Result<std::string> call_member(const std::string& path, const std::string& body,
                                                bool may_renew = true);
  [[nodiscard]] Result<EtcdListing> list(const std::string& prefix);
  [[nodiscard]] Result<EtcdTxnResult> write(const EtcdTxn& txn);
  [[nodiscard]] Result<std::int64_t> grant_lease(std::uint64_t seconds);
  [[nodiscard]] std::string key_of(FleetKind kind) const {
    return fleet_key(settings_.name, kind, "");
  }

  FleetSettings settings_;
  EtcdAccess access_;
};

}  // namespace moat
