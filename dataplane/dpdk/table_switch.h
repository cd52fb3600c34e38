// SPDX-License-Identifier: BSD-2-Clause
// The one pointer that lcores judge by, and when nobody looks at what it pointed to before.
#pragma once

#include <atomic>
#include <memory>

#include "dataplane/dpdk/live_table.h"

struct rte_rcu_qsbr;

namespace moat {

class TableSwitch {
 public:
  // `readers`: lcores, numbered from 0.
  [[nodiscard]] static Result<std::unique_ptr<TableSwitch>> make(unsigned readers);

  // Whoever is inside uses at most one table between two calls of rest(), and is not asleep there.
  class Reader {
   public:
    Reader(TableSwitch& tables, unsigned number);
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    ~Reader();

    // Null before the first table: let nothing through.
    [[nodiscard]] const LiveTable* table() const {
      return tables_.live_.load(std::memory_order_acquire);
    }
    // The table of before is not used any more.
    void rest();
    // The same for as long as this sleeps.
    void sleep(unsigned microseconds);

   private:
    TableSwitch& tables_;
    unsigned number_;
  };

  // Returns when no reader uses the table before. For one thread.
  void publish(LiveTable table);
  // For that thread; null before the first one.
  [[nodiscard]] const LiveTable* live() const { return own_.get(); }

 private:
  explicit TableSwitch(std::shared_ptr<rte_rcu_qsbr> readers) : readers_(std::move(readers)) {}

  std::shared_ptr<rte_rcu_qsbr> readers_;
  std::atomic<const LiveTable*> live_{nullptr};
  std::unique_ptr<const LiveTable> own_;
};

}  // namespace moat
