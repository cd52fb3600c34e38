// SPDX-License-Identifier: BSD-2-Clause
// What one lcore does: NIC -> verdict -> kernel port, and kernel port -> NIC untouched, a burst at
// a time, by one queue of each.
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/dpdk/drop_reports.h"
#include "dataplane/dpdk/live_table.h"

struct rte_mbuf;
struct rte_ring;

namespace moat {

// What an lcore alone knows. It adds, others read.
struct ForwardCounts {
  std::uint64_t to_kernel_full = 0;  // let through, and the kernel port's queue had no room
  std::uint64_t to_nic_full = 0;
  std::uint64_t closed = 0;    // dropped as there was no table yet
  std::uint64_t untagged = 0;  // dropped as a VLAN tag that the port took off could not be put back
};

class Forwarder {
 public:
  struct Queues {
    std::uint16_t nic = 0;
    std::uint16_t kernel_port = 0;
    std::uint16_t queue = 0;  // number of both
  };

  // `drops` takes moat_drop elements; of one that is full the losses are counted.
  Forwarder(Queues queues, std::span<moat_counter> counters, DropReports reports, rte_ring* drops)
      : queues_(queues), counters_(counters), reports_(reports), drops_(drops) {}

  // A burst each way; false: nothing came. Without a table nothing from the NIC passes. `tick`: see
  // ticks_per_second.
  bool turn(const LiveTable* table, std::uint64_t tick);

  [[nodiscard]] const ForwardCounts& counts() const { return counts_; }

  // As Burst wants an lcore.
  void count(std::uint32_t slot, std::uint32_t bytes) {
    counters_[slot].packets++;
    counters_[slot].bytes += bytes;
  }
  [[nodiscard]] bool wants_report(std::uint32_t slot) const {
    return reports_.has_allowance(slot, tick_);
  }
  void report(const moat_frame& frame, const moat_verdict& verdict);

 private:
  bool from_nic(const LiveTable* table);
  bool from_kernel_port();
  unsigned put_tags_back(rte_mbuf** packets, unsigned count);
  std::uint64_t judge(const LiveTable& table, rte_mbuf** packets, unsigned count);

  Queues queues_;
  std::span<moat_counter> counters_;
  DropReports reports_;
  rte_ring* drops_;
  ForwardCounts counts_;
  std::uint64_t tick_ = 0;
};

}  // namespace moat
