// SPDX-License-Identifier: BSD-2-Clause
// A list in a file on this host, which somebody puts there.
#pragma once

#include "control/agent/agent_file.h"
#include "control/agent/source.h"
#include "control/os/event_loop.h"

namespace moat {

class LocalSource final : public Source {
 public:
  // `loop` must outlive this.
  [[nodiscard]] static Result<std::unique_ptr<Source>> make(EventLoop& loop, RangeSource settings);
  void ask(const KnownList& known, Done done) override;

 private:
  explicit LocalSource(RangeSource settings) : settings_(std::move(settings)) {}
  [[nodiscard]] Result<SourceAnswer> read() const;

  RangeSource settings_;
  Done done_;
  EventLoop::Timer timer_;
};

}  // namespace moat
