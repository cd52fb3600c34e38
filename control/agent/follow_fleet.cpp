// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/etcd_fleet.h"
#include "control/agent/fleet.h"
#include "control/agent/web_fleet.h"

namespace moat {

Result<std::unique_ptr<Fleet>> follow_fleet(const FleetTools& tools, const FleetSettings& settings,
                                            const AgentFleet* before) {
  if (settings.endpoints.empty()) return WebFleet::make(tools, settings, before);
  return EtcdFleet::make(tools, settings, before);
}

}  // namespace moat
