// SPDX-License-Identifier: BSD-2-Clause
// A fleet that the agent follows, wherever it is kept.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "control/agent/agent_file.h"
#include "control/agent/fetcher.h"
#include "control/files/agent_files.h"
#include "control/files/rule_files.h"
#include "control/os/event_loop.h"

namespace moat {

class Log;

// What a fleet works with; all must outlive it.
struct FleetTools {
  EventLoop& loop;
  Fetcher& fetcher;
  Log& log;
  RuleFolders folders;
  std::function<void()> on_news;  // there is something else to tell
};

class Fleet {
 public:
  Fleet() = default;
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;
  virtual ~Fleet() = default;

  [[nodiscard]] virtual const AgentFleet& status() const = 0;
};

// `before`: what was known in an earlier life.
[[nodiscard]] Result<std::unique_ptr<Fleet>> follow_fleet(const FleetTools& tools,
                                                          const FleetSettings& settings,
                                                          const AgentFleet* before);

}  // namespace moat
