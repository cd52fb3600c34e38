// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/dpdk/table_switch.h"

#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>
#include <unistd.h>

namespace moat {

Result<std::unique_ptr<TableSwitch>> TableSwitch::make(unsigned readers) {
  const std::shared_ptr<rte_rcu_qsbr> variable(
      static_cast<rte_rcu_qsbr*>(
          rte_zmalloc("readers", rte_rcu_qsbr_get_memsize(readers), RTE_CACHE_LINE_SIZE)),
      rte_free);
  if (!variable || rte_rcu_qsbr_init(variable.get(), readers) != 0)
    return std::unexpected(Error{"no memory to keep account of lcores", {}});
  return std::unique_ptr<TableSwitch>(new TableSwitch(variable));
}

TableSwitch::Reader::Reader(TableSwitch& tables, unsigned number)
    : tables_(tables), number_(number) {
  rte_rcu_qsbr_thread_register(tables_.readers_.get(), number_);
  rte_rcu_qsbr_thread_online(tables_.readers_.get(), number_);
}

TableSwitch::Reader::~Reader() {
  rte_rcu_qsbr_thread_offline(tables_.readers_.get(), number_);
  rte_rcu_qsbr_thread_unregister(tables_.readers_.get(), number_);
}

void TableSwitch::Reader::rest() { rte_rcu_qsbr_quiescent(tables_.readers_.get(), number_); }

void TableSwitch::Reader::sleep(unsigned microseconds) {
  rte_rcu_qsbr_thread_offline(tables_.readers_.get(), number_);
  ::usleep(microseconds);
  rte_rcu_qsbr_thread_online(tables_.readers_.get(), number_);
}

void TableSwitch::publish(LiveTable table) {
  auto next = std::make_unique<const LiveTable>(std::move(table));
  live_.store(next.get(), std::memory_order_release);
  rte_rcu_qsbr_synchronize(readers_.get(), RTE_QSBR_THRID_INVALID);
  own_ = std::move(next);  // and the one before goes
}

}  // namespace moat
