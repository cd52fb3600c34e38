// SPDX-License-Identifier: BSD-2-Clause
#include "tests/verdict/port_engine.h"

#include <fmt/format.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring_elem.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "dataplane/dpdk/forwarder.h"

namespace moat::testing {
namespace {

constexpr unsigned ring_frames = 64, buffer_room = 2048, buffers = 8191;
constexpr auto any_socket = static_cast<unsigned>(SOCKET_ID_ANY);

std::unexpected<Error> failed(const std::string& what) {
  return std::unexpected(Error{fmt::format("{}: {}", what, rte_strerror(rte_errno)), {}});
}

// DPDK in this process, once, on ordinary memory.
Result<> begin_dpdk() {
  static const int begun = [] {
    std::array<std::string, 10> words = {
        "verdict",     "--no-huge",      "-m", "128", "--no-pci",
        "--no-shconf", "--no-telemetry", "-l", "0",   "--log-level=lib.eal:error"};
    std::array<char*, 11> pointers{};
    for (std::size_t i = 0; i < words.size(); i++) pointers[i] = words[i].data();
    return rte_eal_init(static_cast<int>(words.size()), pointers.data());
  }();
  return begun < 0 ? Result<>(failed("start DPDK")) : Result<>();
}

// A port whose frames come out of one ring and go into another.
struct RingPort {
  rte_ring* in = nullptr;
  rte_ring* out = nullptr;
  std::uint16_t number = 0;
};

Result<RingPort> make_port(const std::string& name, rte_mempool* pool) {
  RingPort port;
  const unsigned flags = RING_F_SP_ENQ | RING_F_SC_DEQ;
  port.in = rte_ring_create((name + "-in").c_str(), ring_frames, SOCKET_ID_ANY, flags);
  port.out = rte_ring_create((name + "-out").c_str(), ring_frames, SOCKET_ID_ANY, flags);
  if (port.in == nullptr || port.out == nullptr) return failed("make a ring");
  const int number = rte_eth_from_rings(name.c_str(), &port.in, 1, &port.out, 1, 0);
  if (number < 0) return failed("make a port of rings");
  port.number = static_cast<std::uint16_t>(number);
  const rte_eth_conf conf = {};
  if (rte_eth_dev_configure(port.number, 1, 1, &conf) != 0 ||
      rte_eth_rx_queue_setup(port.number, 0, ring_frames, any_socket, nullptr, pool) != 0 ||
      rte_eth_tx_queue_setup(port.number, 0, ring_frames, any_socket, nullptr) != 0 ||
      rte_eth_dev_start(port.number) != 0)
    return failed("start a port of rings");
  return port;
}

// A frame in through the NIC, and out of the kernel port or not at all.
class PortEngine final : public Engine {
 public:
  PortEngine(rte_mempool* pool, RingPort nic, RingPort kernel_port, rte_ring* drops)
      : pool_(pool),
        nic_(nic),
        kernel_port_(kernel_port),
        forwarder_({nic.number, kernel_port.number, 0}, counters_, {kinds_, sources_, 1}, drops) {}

  std::string name() const override { return "dpdk, port"; }
  std::string family() const override { return "dpdk"; }
  bool takes(Bytes frame) const override { return frame.size() <= 0xffff; }
  Result<> use(const Scene& scene) override {
    auto table = LiveTable::make(scene.table);
    if (!table) return std::unexpected(table.error());
    table_ = std::move(*table);
    return {};
  }

  Result<JudgeResult> judge(const Scene& scene, Bytes frame) override {
    std::ranges::fill(counters_, moat_counter{});
    rte_mbuf* packet = chain_of(frame);
    if (packet == nullptr) return failed("make a packet");
    rte_ring_enqueue(nic_.in, packet);
    forwarder_.turn(&table_, ++tick_);
    void* out = nullptr;
    const bool is_passed = rte_ring_dequeue(kernel_port_.out, &out) == 0;
    if (is_passed && !is_same(static_cast<rte_mbuf*>(out), frame))
      return std::unexpected(Error{"another frame came out", {}});
    rte_pktmbuf_free(static_cast<rte_mbuf*>(out));
    return outcome(!is_passed, moat::judge(scene.table, frame).bytes);
  }

 private:
  // In as many buffers as a port would need for it.
  rte_mbuf* chain_of(Bytes frame) const {
    rte_mbuf* first = rte_pktmbuf_alloc(pool_);
    for (rte_mbuf* last = first; last != nullptr; last = last->next) {
      const std::size_t bytes = std::min<std::size_t>(frame.size(), rte_pktmbuf_tailroom(last));
      if (!frame.empty()) std::memcpy(rte_pktmbuf_mtod(last, void*), frame.data(), bytes);
      last->data_len = static_cast<std::uint16_t>(bytes);
      first->pkt_len += static_cast<std::uint32_t>(bytes);
      frame = frame.subspan(bytes);
      if (frame.empty()) break;
      last->next = rte_pktmbuf_alloc(pool_);
      first->nb_segs++;
    }
    return first;
  }

  static bool is_same(const rte_mbuf* packet, Bytes frame) {
    std::vector<std::uint8_t> copy(frame.size());
    if (packet->pkt_len != frame.size()) return false;
    const void* bytes =
        rte_pktmbuf_read(packet, 0, static_cast<std::uint32_t>(frame.size()), copy.data());
    return frame.empty() || std::memcmp(bytes, frame.data(), frame.size()) == 0;
  }

  Result<JudgeResult> outcome(bool is_dropped, std::size_t bytes) const {
    std::optional<std::uint32_t> slot;
    for (std::uint32_t i = MOAT_LOST_DROPS_SLOT + 1; i < MOAT_COUNTER_SLOTS; i++) {
      if (counters_[i].packets == 0 && counters_[i].bytes == 0) continue;
      if (slot || counters_[i].packets != 1 || counters_[i].bytes != bytes)
        return std::unexpected(Error{fmt::format("slot {} moved by {} packets, {} bytes", i,
                                                 counters_[i].packets, counters_[i].bytes),
                                     {}});
      slot = i;
    }
    if (!slot) return std::unexpected(Error{"no counter moved", {}});
    return JudgeResult{is_dropped, *slot};
  }

  rte_mempool* pool_;
  RingPort nic_, kernel_port_;
  std::vector<moat_counter> counters_ = std::vector<moat_counter>(MOAT_COUNTER_SLOTS);
  std::vector<moat_source_allowance> sources_ = std::vector<moat_source_allowance>(MOAT_SOURCES);
  KindGrants kinds_{};
  LiveTable table_;
  Forwarder forwarder_;
  std::uint64_t tick_ = 1000;
};

}  // namespace

// The library's names are the process's: once in it.
Result<> add_port_engine(std::vector<std::unique_ptr<Engine>>& engines) {
  if (auto begun = begin_dpdk(); !begun) return begun;
  static unsigned made = 0;
  const auto suffix = std::to_string(made++);
  rte_mempool* pool = rte_pktmbuf_pool_create(("pool" + suffix).c_str(), buffers, 0, 0,
                                              buffer_room + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
  if (pool == nullptr) return failed("make a pool");
  const auto nic = make_port("nic" + suffix, pool);
  if (!nic) return std::unexpected(nic.error());
  const auto kernel_port = make_port("kernel" + suffix, pool);
  if (!kernel_port) return std::unexpected(kernel_port.error());
  rte_ring* drops = rte_ring_create_elem(("drops" + suffix).c_str(), sizeof(moat_drop), 64,
                                         SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
  if (drops == nullptr) return failed("make a ring");
  engines.push_back(std::make_unique<PortEngine>(pool, *nic, *kernel_port, drops));
  return {};
}

}  // namespace moat::testing
