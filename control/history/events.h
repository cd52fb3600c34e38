// SPDX-License-Identifier: BSD-2-Clause
// The journal of events, beside the generations:
//
//   STATE/history/events.jsonl     one event a line, as JSON
//                 events.1.jsonl   those before; what was there before goes
//
// A line that is damaged, or cut off by a crash, is passed over and told by problems(). Nobody
// waits until an event is on disk: a power cut may take those of its last seconds. Those that the
// disk did not take are written before the next one.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include "control/history/event.h"
#include "dataplane/error.h"

namespace moat {

struct EventLimits {
  std::size_t bytes = std::size_t{1} << 20;  // of both files together
  std::size_t in_memory = 1'000;             // events
};

class EventJournal {
 public:
  static constexpr std::size_t max_at_once = 1'000;

  // Reads what the folder has.
  explicit EventJournal(std::string folder, EventLimits limits = {});

  // Gives it its number and keeps it. Errors: the disk takes nothing, or the folder is another
  // user's; then the event is known until the process ends, if keep() does not write it before.
  [[nodiscard]] Result<> add(Event event);

  // Writes what is not on disk yet, of those in memory.
  [[nodiscard]] Result<> keep();

  // From number `since` on, the oldest first, max_at_once of them.
  [[nodiscard]] std::vector<Event> since(std::uint64_t since) const;

  // The number of the next one.
  [[nodiscard]] std::uint64_t next() const { return next_; }

  // The newest ones.
  [[nodiscard]] const std::deque<Event>& recent() const { return recent_; }

  [[nodiscard]] const std::vector<std::string>& problems() const { return problems_; }

 private:
  void load();
  [[nodiscard]] Result<> append(const Event& event);
  [[nodiscard]] std::string path() const { return folder_ + "/events.jsonl"; }
  [[nodiscard]] std::string older_path() const { return folder_ + "/events.1.jsonl"; }

  std::string folder_;
  EventLimits limits_;
  std::deque<Event> recent_;
  std::uint64_t next_ = 1;
  std::uint64_t written_ = 0;  // number of the last one that is on disk
  bool is_cut_off_ = false;    // the last line on disk has no end
  std::vector<std::string> problems_;
};

}  // namespace moat
