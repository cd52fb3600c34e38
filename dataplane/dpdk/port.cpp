// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/dpdk/port.h"

#include <fmt/format.h>
#include <rte_dev.h>
#include <rte_ethdev.h>

#include <cstdlib>

namespace moat {
namespace {

constexpr std::uint16_t ring_frames = 1024;

std::string name_of(std::uint16_t number) {
  std::array<char, RTE_ETH_NAME_MAX_LEN> name{};
  return rte_eth_dev_get_name_by_port(number, name.data()) == 0 ? name.data() : "?";
}

}  // namespace

Result<Port> Port::only() {
  if (rte_eth_dev_count_avail() != 1)
    return std::unexpected(
        Error{fmt::format("DPDK found {} ports, not the NIC alone", rte_eth_dev_count_avail()),
              "see its words above; a PCI device must be bound to vfio-pci"});
  const std::uint16_t number = rte_eth_find_next(0);
  return Port(number, name_of(number));
}

Result<Port> Port::add(const std::string& device) {
  const std::string name = device.substr(0, device.find(','));
  if (const int cause = rte_dev_probe(device.c_str()); cause != 0)
    return failed("make port " + device, cause);
  std::uint16_t number = 0;
  if (const int cause = rte_eth_dev_get_port_by_name(name.c_str(), &number); cause != 0)
    return failed("find port " + name, cause);
  return Port(number, name);
}

Result<> Port::start(unsigned queues, rte_mempool* buffers) {
  rte_eth_dev_info info = {};
  if (const int cause = rte_eth_dev_info_get(number_, &info); cause != 0)
    return failed("ask about port " + name_, cause);
  if (queues > info.max_rx_queues || queues > info.max_tx_queues)
    return std::unexpected(
        Error{fmt::format("port {} has {} queues to receive and {} to send, fewer than {} lcores",
                          name_, info.max_rx_queues, info.max_tx_queues, queues),
              "name fewer lcores, or give a vdev its queues (qpairs=, queue_count=)"});
  rte_eth_conf conf = {};
  if (queues > 1) {
    conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf.rx_adv_conf.rss_conf.rss_hf =
        (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP) & info.flow_type_rss_offloads;
    if (conf.rx_adv_conf.rss_conf.rss_hf == 0) conf.rxmode.mq_mode = RTE_ETH_MQ_RX_NONE;
  }
  const auto count = static_cast<std::uint16_t>(queues);
  if (const int cause = rte_eth_dev_configure(number_, count, count, &conf); cause != 0)
    return failed("configure port " + name_, cause);
  std::uint16_t rx = ring_frames, tx = ring_frames;
  rte_eth_dev_adjust_nb_rx_tx_desc(number_, &rx, &tx);
  const auto socket = static_cast<unsigned>(SOCKET_ID_ANY);
  for (std::uint16_t queue = 0; queue < count; queue++) {
    int cause = rte_eth_rx_queue_setup(number_, queue, rx, socket, nullptr, buffers);
    if (cause == 0) cause = rte_eth_tx_queue_setup(number_, queue, tx, socket, nullptr);
    if (cause != 0) return failed(fmt::format("set up queue {} of port {}", queue, name_), cause);
  }
  if (const int cause = rte_eth_dev_start(number_); cause != 0)
    return failed("start port " + name_, cause);
  // Neighbour discovery and whatever else the host listens to; not every port can choose.
  (void)rte_eth_allmulticast_enable(number_);
  return {};
}

void Port::close() {
  (void)rte_eth_dev_stop(number_);
  (void)rte_eth_dev_close(number_);
}

std::array<std::uint8_t, 6> Port::address() const {
  rte_ether_addr address = {};
  (void)rte_eth_macaddr_get(number_, &address);
  return std::to_array(address.addr_bytes);
}

bool Port::has_link() const {
  rte_eth_link link = {};
  return rte_eth_link_get_nowait(number_, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

std::uint32_t Port::mtu() const {
  std::uint16_t mtu = 0;
  return rte_eth_dev_get_mtu(number_, &mtu) == 0 ? mtu : 0;
}

Result<> Port::set_mtu(std::uint32_t mtu) const {
  const int cause = rte_eth_dev_set_mtu(number_, static_cast<std::uint16_t>(mtu));
  if (cause != 0) return failed(fmt::format("set the MTU of port {} to {}", name_, mtu), cause);
  return {};
}

Result<> Port::set_promiscuous(bool is_promiscuous) const {
  const int cause =
      is_promiscuous ? rte_eth_promiscuous_enable(number_) : rte_eth_promiscuous_disable(number_);
  if (cause != 0) return failed("set promiscuous mode of port " + name_, cause);
  return {};
}

PortStatus Port::status() const {
  PortStatus status = {};
  put_text(status.name, name_);
  rte_eth_stats stats = {};
  status.is_present = rte_eth_stats_get(number_, &stats) == 0;
  status.mtu = mtu();
  status.has_link = has_link();
  status.is_promiscuous = rte_eth_promiscuous_get(number_) == 1;
  status.rx_packets = stats.ipackets;
  status.rx_bytes = stats.ibytes;
  status.rx_missed = stats.imissed;
  status.rx_no_mbuf = stats.rx_nombuf;
  status.rx_errors = stats.ierrors;
  status.tx_packets = stats.opackets;
  status.tx_bytes = stats.obytes;
  return status;
}

}  // namespace moat
