// SPDX-License-Identifier: BSD-2-Clause
// One managed range: when its source is asked, what becomes of the answer, and what is told of it.
// Nothing here waits or knows a network, so that a day passes in a test as fast as it can be
// written.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "control/agent/agent_file.h"
#include "control/agent/agents_files.h"
#include "control/agent/source.h"
#include "control/files/agent_files.h"

namespace moat {

class RangeKeeper {
 public:
  using Time = std::chrono::system_clock::time_point;
  using Random = std::function<double()>;  // 0 to 1

  // `before`: what was known of this managed range in an earlier life.
  RangeKeeper(RangeSource settings, std::string folder, const AgentSource* before, Random random);

  [[nodiscard]] const RangeSource& settings() const { return settings_; }
  [[nodiscard]] const AgentSource& status() const { return status_; }

  [[nodiscard]] bool is_due(Time now) const;
  // Asks at the next opportunity.
  void hurry() { status_.next.reset(); }

  // A try begins. What is known of the list, unless its files are not what they should be.
  [[nodiscard]] KnownList begin(Time now);
  // And ends. The list is taken, or the last good one stays.
  Result<WriteResult> finish(const Result<SourceAnswer>& answer, Time now,
                             WriteMode mode = WriteMode::write);

 private:
  [[nodiscard]] Result<WriteResult> take(const SourceAnswer& answer, Time now, WriteMode mode);
  [[nodiscard]] std::chrono::milliseconds pause(std::chrono::seconds regular) const;

  RangeSource settings_;
  std::string folder_;
  AgentSource status_;
  Random random_;
};

}  // namespace moat
