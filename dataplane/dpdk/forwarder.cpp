// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/dpdk/forwarder.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring_elem.h>

#include <cstring>

#include "dataplane/dpdk/burst.h"

namespace moat {
namespace {

constexpr std::uint16_t burst_frames = 64;
static_assert(burst_frames <= Lines::max_burst);

// Bytes of a frame in several buffers.
struct Gather {
  moat_fetch_fn fetch;  // first: what moat_fetch() takes for its context
  rte_mbuf* packet;
};

long gather(void* context, __u32 offset, void* to, __u32 bytes) {
  const void* at = rte_pktmbuf_read(static_cast<const Gather*>(context)->packet, offset, bytes, to);
  if (at == nullptr) return -1;
  if (at != to) std::memcpy(to, at, bytes);
  return 0;
}

class PacketFrames {
 public:
  static constexpr std::uint64_t now = 0;  // the clock is asked when a deadline is looked at

  explicit PacketFrames(rte_mbuf** packets) : packets_(packets) {}
  moat_frame operator[](unsigned number) const {
    rte_mbuf* packet = packets_[number];
    const auto* data = rte_pktmbuf_mtod(packet, const __u8*);
    moat_frame frame = {};
    frame.data = data;
    frame.end = data + packet->data_len;
    frame.length = packet->pkt_len;
    if (packet->next != nullptr) {
      gather_[number] = {gather, packet};
      frame.context = &gather_[number];
    }
    return frame;
  }

 private:
  rte_mbuf** packets_;
  mutable Gather gather_[burst_frames];  // written for packets of several buffers alone
};

std::uint64_t send(std::uint16_t port, std::uint16_t queue, rte_mbuf** packets, unsigned count) {
  const unsigned sent = rte_eth_tx_burst(port, queue, packets, static_cast<std::uint16_t>(count));
  if (sent < count) rte_pktmbuf_free_bulk(packets + sent, count - sent);
  return count - sent;
}

bool is_some_tag_off(rte_mbuf** packets, unsigned count) {
  std::uint64_t flags = 0;
  for (unsigned i = 0; i < count; i++) flags |= packets[i]->ol_flags;
  return (flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0;
}

bool has_its_tag(rte_mbuf*& packet) {
  if ((packet->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) == 0) return true;
  if (rte_vlan_insert(&packet) != 0) return false;
  packet->ol_flags &= ~(RTE_MBUF_F_RX_VLAN_STRIPPED | RTE_MBUF_F_TX_VLAN);
  return true;
}

}  // namespace

void Forwarder::report(const moat_frame& frame, const moat_verdict& verdict) {
  const auto drop = reports_.report(frame, verdict, tick_);
  if (drop && rte_ring_sp_enqueue_elem(drops_, const_cast<moat_drop*>(&*drop), sizeof *drop) != 0)
    count(MOAT_LOST_DROPS_SLOT, 0);
}

std::uint64_t Forwarder::judge(const LiveTable& table, rte_mbuf** packets, unsigned count) {
  const PacketFrames frames(packets);
  return Burst(table, frames, count, *this).drops();
}

bool Forwarder::turn(const LiveTable* table, std::uint64_t tick) {
  tick_ = tick;
  const bool had_nic = from_nic(table), had_kernel = from_kernel_port();
  return had_nic || had_kernel;
}

// The verdict is on the frame as it was on the wire, and the kernel port gets it so. Offloads that
// take a tag off are not asked for; some ports do it nevertheless. Returns how many are left.
unsigned Forwarder::put_tags_back(rte_mbuf** packets, unsigned count) {
  unsigned left = 0;
  for (unsigned i = 0; i < count; i++) {
    if (has_its_tag(packets[i])) {
      packets[left++] = packets[i];
    } else {
      rte_pktmbuf_free(packets[i]);
      counts_.untagged++;
    }
  }
  return left;
}

bool Forwarder::from_nic(const LiveTable* table) {
  rte_mbuf* packets[burst_frames];
  rte_mbuf* kept[burst_frames];
  rte_mbuf* dropped[burst_frames];
  unsigned keeps = 0, drops = 0;
  unsigned count = rte_eth_rx_burst(queues_.nic, queues_.queue, packets, burst_frames);
  if (count == 0) return false;
  for (unsigned i = 0; i < count; i++) rte_prefetch0(rte_pktmbuf_mtod(packets[i], void*));
  if (table == nullptr) {
    counts_.closed += count;
    rte_pktmbuf_free_bulk(packets, count);
    return true;
  }
  if (is_some_tag_off(packets, count)) [[unlikely]]
    count = put_tags_back(packets, count);
  const std::uint64_t verdicts = judge(*table, packets, count);
  for (unsigned i = 0; i < count; i++) {
    const unsigned is_dropped = verdicts >> i & 1;
    dropped[drops] = kept[keeps] = packets[i];
    drops += is_dropped;
    keeps += 1 - is_dropped;
  }
  if (drops != 0) rte_pktmbuf_free_bulk(dropped, drops);
  if (keeps != 0) counts_.to_kernel_full += send(queues_.kernel_port, queues_.queue, kept, keeps);
  return true;
}

bool Forwarder::from_kernel_port() {
  rte_mbuf* packets[burst_frames];
  const unsigned count =
      rte_eth_rx_burst(queues_.kernel_port, queues_.queue, packets, burst_frames);
  if (count == 0) return false;
  counts_.to_nic_full += send(queues_.nic, queues_.queue, packets, count);
  return true;
}

}  // namespace moat
