// SPDX-License-Identifier: BSD-2-Clause
// Takes in the drops that the packet path tells of, as they come: a lone one at once, and under a
// flood ten times a second, so that it costs the daemon no more than that.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "control/daemon/drop_table.h"
#include "control/enforce/publisher.h"
#include "control/os/event_loop.h"
#include "dataplane/backend.h"
#include "dataplane/error.h"

namespace moat {

class DropWatch {
 public:
  // Both must outlive this. `publisher` knows which database a number stands for.
  DropWatch(EventLoop& loop, const Publisher& publisher);

  [[nodiscard]] Result<> start(Result<std::unique_ptr<DropSource>> drops);

  // What there is by now.
  void read();

  void note_suppressed(const SuppressedDrops& suppressed) { table_.note_suppressed(suppressed); }

  // The publisher has read the counters.
  void note_counters() { table_.note_counters(publisher_.counters()); }

  [[nodiscard]] const DropTable& table() const { return table_; }

 private:
  void listen();
  void read_and_rest();
  [[nodiscard]] std::string database_of(std::uint8_t owner) const;

  EventLoop& loop_;
  const Publisher& publisher_;
  DropTable table_;
  std::unique_ptr<DropSource> drops_;
  EventLoop::Source source_;
  EventLoop::Timer timer_;
};

}  // namespace moat
