// SPDX-License-Identifier: BSD-2-Clause
// What the daemon tells of itself: the structs of service.h, filled from what it knows. Changes
// nothing.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/daemon/drop_table.h"
#include "control/enforce/end_sessions.h"
#include "control/enforce/enforcer.h"
#include "control/enforce/interfaces.h"
#include "control/enforce/publisher.h"
#include "control/files/settings.h"
#include "control/service/service.h"
#include "dataplane/host/netlink.h"

namespace moat {

// What none of the parts knows by itself.
struct DaemonFacts {
  bool is_ready = false;
  std::chrono::system_clock::time_point since;
  StatusView::Backstop backstop;
  FastPathStatus fast_path;
  std::vector<Problem> problems;  // that the daemon itself has met
  std::vector<Problem> notices;
  std::optional<TrialView> trial;
};

class Views {
 public:
  // All must outlive this.
  Views(const Settings& settings, const FileScanner& scanner, const Enforcer& enforcer,
        const Publisher& publisher, const Interfaces& interfaces, const DropTable& drops);

  [[nodiscard]] StatusView status(const DaemonFacts& facts) const;
  [[nodiscard]] std::vector<DatabaseView> databases() const;
  // Of one database, or of all if `database` is empty.
  [[nodiscard]] std::vector<RuleView> rules(const std::string& database) const;
  [[nodiscard]] std::vector<ManagedRangeView> managed_ranges() const;
  [[nodiscard]] ServiceResult<ManagedRangeView> managed_range(const std::string& id) const;
  // report_network.cpp: of one database, or of all if `database` is empty.
  [[nodiscard]] std::vector<NetPeeringView> net_peerings(const std::string& database) const;
  [[nodiscard]] std::vector<NetworkView> network(const std::string& database) const;
  [[nodiscard]] EndpointsView endpoints(const std::string& database,
                                        const DaemonFacts& facts) const;
  [[nodiscard]] ServiceResult<std::vector<WhyView>> why(const std::string& source,
                                                        const std::string& database) const;
  [[nodiscard]] CountersView counters(const std::string& database) const;
  [[nodiscard]] std::vector<SessionView> sessions(const std::vector<GuardedSession>& found,
                                                  const std::string& database) const;

  // Whether what is enforced is known; the refusal says that it is not.
  [[nodiscard]] ServiceResult<void> check_policy() const;

  // Whether a database of this id is enforced, if one is named; the refusal says that it is not.
  [[nodiscard]] ServiceResult<void> check_database(const std::string& id) const;

  // Both of them.
  [[nodiscard]] ServiceResult<void> check_known(const std::string& database) const;

 private:
  [[nodiscard]] FileState state_of(const Database& database) const;
  [[nodiscard]] RuleView rule_view(const Database& database, const Rule& rule) const;
  [[nodiscard]] NetPeeringView peering_view(const Database& database, const NetPeering& peering,
                                            Routes& routes) const;
  void add_hits(RuleView& view) const;
  [[nodiscard]] Counts counts(std::size_t slot) const;
  [[nodiscard]] Counts allowed(const Database& database) const;
  // Or, `monitored`, that would have been and passed in monitor mode.
  [[nodiscard]] Counts dropped(const Database& database, bool monitored = false) const;
  void add_reasons(CountersView& view, const std::string& owner, std::uint8_t number) const;
  [[nodiscard]] ManagedRangeView range_view(const ManagedRange& range,
                                            const std::vector<RangeSourceView>& sources) const;
  void add_notices(StatusView& view) const;
  void add_coverage(StatusView& view) const;
  void add_taken_address(StatusView& view) const;
  void add_expiries(StatusView& view) const;
  void add_expectations(StatusView& view) const;
  void add_held_down(StatusView& view) const;
  void add_mptcp_notices(StatusView& view) const;
  void add_clock(StatusView& view) const;
  void add_unnamed(StatusView& view) const;
  void add_listeners(StatusView& view) const;
  void complete(WhyView& view, Address source) const;
  [[nodiscard]] const Policy& policy() const;

  const Settings& settings_;
  const FileScanner& scanner_;
  const Enforcer& enforcer_;
  const Publisher& publisher_;
  const Interfaces& interfaces_;
  const DropTable& drops_;
  Policy nothing_;  // stands for the policy before the first commit
};

}  // namespace moat
