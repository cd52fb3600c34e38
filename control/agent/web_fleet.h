// SPDX-License-Identifier: BSD-2-Clause
// Follows a fleet that is one file on a web server: see fleet_bundle.h. No receipts: a web server
// takes none.
#pragma once

#include <memory>
#include <string>

#include "control/agent/fleet.h"

namespace moat {

class WebFleet final : public Fleet {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Fleet>> make(const FleetTools& tools,
                                                           const FleetSettings& settings,
                                                           const AgentFleet* before);
  [[nodiscard]] const AgentFleet& status() const override { return status_; }

 private:
  WebFleet(FleetTools tools, FleetSettings settings, const AgentFleet* before);
  void ask();
  void take(const Result<FetchAnswer>& answer);
  void take_signature(const Result<FetchAnswer>& signature);
  void take_bundle(const FetchAnswer& answer);
  [[nodiscard]] Result<> write(const FetchAnswer& answer);
  void note(const Result<>& result);
  [[nodiscard]] FetchRequest request_for(const std::string& url) const;

  FleetTools tools_;
  FleetSettings settings_;
  AgentFleet status_;
  std::string etag_;
  FetchAnswer signed_;  // while its signature is on the way
  std::unique_ptr<Fetcher::Transfer> transfer_;
  EventLoop::Timer timer_;
};

}  // namespace moat
