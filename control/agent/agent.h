// SPDX-License-Identifier: BSD-2-Clause
// moat-agent: keeps managed ranges as their providers publish them. One process without
// capabilities, one event loop; it writes rule files and tells in a file beside them how that goes.
//
//   agent.yaml --> keepers --+-- due --> source: https, file, DNS --> list --> rule files --> moatd
//   timer, moatd's wish -----+                                          \--> status --> moatd
#pragma once

#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "control/agent/agent_file.h"
#include "control/agent/fetcher.h"
#include "control/agent/fleet.h"
#include "control/agent/range_keeper.h"
#include "control/agent/source.h"
#include "control/files/rule_files.h"
#include "control/os/event_loop.h"
#include "control/os/file_watch.h"

namespace moat {

class Log;

// agent.yaml as it is now, and the folders of the moat.yaml that it belongs to.
struct AgentPlan {
  AgentSettings settings;
  RuleFolders folders;
};

// Faults that are warnings go to `warnings`.
[[nodiscard]] Result<AgentPlan> read_agent_plan(const std::string& agent_yaml, Faults& warnings);

class Agent {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Agent>> start(const std::string& agent_yaml,
                                                            Log& log);
  // Until a signal ends it.
  [[nodiscard]] Result<> run();

  struct Try {
    std::string id;
    Result<WriteResult> result;
    AgentSource status;
  };
  // Each source once, or that of `only`; without writing anything, if so wanted.
  [[nodiscard]] Result<std::vector<Try>> fetch(const std::vector<std::string>& only,
                                               WriteMode mode);

 private:
  struct Kept {
    RangeKeeper keeper;
    std::unique_ptr<Source> source;
    bool is_asking = false;
  };

  Agent(std::string agent_yaml, AgentPlan plan, EventLoop loop, Log& log);
  [[nodiscard]] Result<> keep(Result<EventLoop::Source> source);
  [[nodiscard]] Result<> arm();
  [[nodiscard]] Result<> keep_ranges();
  [[nodiscard]] Result<std::unique_ptr<Source>> make_source(const RangeSource& settings);
  [[nodiscard]] Result<> follow();
  void reload();
  void look_for_wishes();
  void wake();
  void ask(Kept& kept, const std::function<void(const Result<WriteResult>&)>& done, WriteMode mode);
  void tell(const Kept& kept, const Result<WriteResult>& result, const std::string& error_before);
  void save();
  [[nodiscard]] const std::string& folder() const { return plan_.folders.ranges; }

  std::string agent_yaml_;
  AgentPlan plan_;
  Log& log_;
  EventLoop loop_;
  std::unique_ptr<Fetcher> fetcher_;
  std::minstd_rand random_{std::random_device{}()};
  AgentStatus status_;  // as last written
  std::vector<std::unique_ptr<Kept>> kept_;
  std::unique_ptr<Fleet> fleet_;
  Watch watch_;
  EventLoop::Timer timer_;
  std::vector<EventLoop::Source> sources_;
};

}  // namespace moat
