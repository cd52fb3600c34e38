// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/dpdk/worker.h"

#include <fmt/format.h>
#include <poll.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_ring_elem.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>

#include "dataplane/dpdk/account.h"
#include "dataplane/dpdk/channel_server.h"
#include "dataplane/dpdk/eal.h"
#include "dataplane/dpdk/forwarder.h"
#include "dataplane/dpdk/port_link.h"
#include "dataplane/dpdk/table_switch.h"

namespace moat {
namespace {

constexpr unsigned drops_kept = 4096;  // of each lcore, a power of two; a fourth of a second's most
constexpr unsigned idle_turns = 200;   // without a packet, before an lcore may sleep
constexpr std::chrono::milliseconds patience{2000};  // for an earlier worker's port to go
constexpr int round_ms = 20;                         // in which moatd is told of drops
constexpr unsigned rounds_between_looks = 12;  // at what nobody tells of, and to save settings
constexpr unsigned buffers_an_lcore = 16384;
constexpr unsigned link_header = 14 + 4 * MOAT_MAX_VLANS + 4;

void say(const std::string& words) { fmt::print(stderr, "moat-dpdk: {}\n", words); }

// One lcore and what belongs to it.
struct Lcore {
  Forwarder forwarder;
  rte_ring* drops;
  TableSwitch* tables;
  const std::atomic<bool>* is_ending;
  unsigned number;
  unsigned idle_us;
};

int run_lcore(void* argument) {
  auto& lcore = *static_cast<Lcore*>(argument);
  TableSwitch::Reader reader(*lcore.tables, lcore.number);
  const std::uint64_t tick_cycles = rte_get_tsc_hz() / ticks_per_second;
  unsigned idle = 0;
  while (!lcore.is_ending->load(std::memory_order_relaxed)) {
    const bool is_busy = lcore.forwarder.turn(reader.table(), rte_rdtsc() / tick_cycles);
    reader.rest();
    idle = is_busy ? 0 : idle + 1;
    if (idle > idle_turns && lcore.idle_us != 0) reader.sleep(lcore.idle_us);
  }
  return 0;
}

// The kernel port of a worker that was killed goes a moment after the worker did.
Result<> await_no_interface(const std::string& name) {
  auto news = SettingsMonitor::open();
  if (!news) return std::unexpected(news.error());
  const auto end = std::chrono::steady_clock::now() + patience;
  for (auto left = patience; left.count() > 0; left = std::chrono::ceil<std::chrono::milliseconds>(
                                                   end - std::chrono::steady_clock::now())) {
    const auto state = link_state(name);
    if (!state) return std::unexpected(state.error());
    if (!*state) return {};
    pollfd waits = {news->fd(), POLLIN, 0};
    ::poll(&waits, 1, static_cast<int>(left.count()));
    (void)news->drain();
  }
  return std::unexpected(Error{"there is an interface " + name + " already",
                               "delete it, or name another kernel-port in moat.yaml"});
}

Result<> check_not_the_way_out(const LinkState& nic, bool is_forced) {
  const auto leads_out = has_default_route(nic.ifindex);
  if (!leads_out) return std::unexpected(leads_out.error());
  if (!*leads_out || is_forced) return {};
  return std::unexpected(
      Error{fmt::format("the default route leads by {}: the host would be cut off until the fast "
                        "path runs",
                        nic.name),
            "use another NIC, or --force"});
}

// The name that the kernel has for the NIC, which is then in its namespace and switched on; empty:
// it has none, and needs no namespace. What the host had set on it, the kernel port is to have.
Result<std::string> move_nic(const DpdkSettings& settings, const Netns& home, const Netns& there) {
  std::string interface = interface_of(settings.fast_path.nic);
  if (interface.empty()) return interface;
  {
    const auto visit = Visit::begin(there, home);
    if (!visit) return std::unexpected(visit.error());
    if (auto closed = Netns::close_to_sockets(settings.netns); !closed)
      return std::unexpected(closed.error());
  }
  const auto here = link_state(interface);
  if (!here) return std::unexpected(here.error());
  if (*here) {
    if (auto allowed = check_not_the_way_out(**here, settings.is_forced); !allowed)
      return std::unexpected(allowed.error());
    const auto was = LinkSettings::read((*here)->ifindex);
    if (!was) return std::unexpected(was.error());
    if (was->has_addresses())
      if (auto kept = PortLink::keep(*was, settings.port_file()); !kept)
        return std::unexpected(kept.error());
    if (auto moved = move_link((*here)->ifindex, there.fd()); !moved)
      return std::unexpected(moved.error());
  }
  const auto visit = Visit::begin(there, home);
  if (!visit) return std::unexpected(visit.error());
  const auto now = link_state(interface);
  if (!now) return std::unexpected(now.error());
  if (!*now)
    return std::unexpected(Error{fmt::format("no interface {}, neither on the host nor in network "
                                             "namespace {}",
                                             interface, settings.netns),
                                 "check the name with `ip link`"});
  // A worker that was killed leaves the program of af_xdp, which a new one cannot replace.
  remove_xdp_programs((*now)->ifindex);
  if (auto up = set_link_up((*now)->ifindex); !up) return std::unexpected(up.error());
  return interface;
}

TableName name_of(const moat_table& header) {
  return {header.generation, header.digest, header.size};
}

}  // namespace

struct Worker::Parts {
  DpdkSettings settings;
  std::optional<Eal> eal;
  std::optional<PortLink> link;
  Account account;
  KindGrants kinds{};
  std::unique_ptr<TableSwitch> tables;
  Fd memfd;  // of the live table
  std::vector<std::unique_ptr<Lcore>> lcores;
  std::atomic<bool> is_ending{false};
  std::optional<ChannelServer> channel;
  std::vector<moat_drop> drops;  // that moatd had no room for
  Fd signals;

  // Steps of start(), in this order.
  Result<> start_ports();
  Result<> start_lcores(const Port& nic, const Port& kernel_port);
  Result<> listen();

  Result<> publish(const Table& table, Fd file);
  StatusMessage status() const;
  void tell_drops();
  Result<> serve();
};

// The port of the NIC is made and used in its own namespace, the kernel port here.
Result<> Worker::Parts::start_ports() {
  auto home = Netns::current();
  if (!home) return std::unexpected(home.error());
  const bool has_interface = !interface_of(settings.fast_path.nic).empty();
  auto there = has_interface ? Netns::make(settings.netns) : Netns::current();
  if (!there) return std::unexpected(there.error());
  if (auto free = await_no_interface(settings.fast_path.kernel_port); !free) return free;
  const auto interface = move_nic(settings, *home, *there);
  if (!interface) return std::unexpected(interface.error());

  const auto queues = static_cast<unsigned>(settings.fast_path.lcores.size());
  std::optional<Port> nic;
  rte_mempool* buffers = nullptr;
  std::uint32_t max_mtu = 0;
  {
    const auto visit = Visit::begin(*there, *home);
    if (!visit) return std::unexpected(visit.error());
    auto begun = Eal::begin(settings);
    if (!begun) return std::unexpected(begun.error());
    eal.emplace(std::move(*begun));
    auto port = Port::only();
    if (!port) return std::unexpected(port.error());
    nic = std::move(*port);
    const std::uint32_t room = std::max<std::uint32_t>(
        RTE_MBUF_DEFAULT_BUF_SIZE, nic->mtu() + link_header + RTE_PKTMBUF_HEADROOM);
    max_mtu = room - link_header - RTE_PKTMBUF_HEADROOM;
    buffers = rte_pktmbuf_pool_create("buffers", buffers_an_lcore * queues - 1, 250, 0,
                                      static_cast<std::uint16_t>(room), SOCKET_ID_ANY);
    if (buffers == nullptr)
      return std::unexpected(Error{"no memory for the buffers of packets", "more hugepages"});
    if (auto started = nic->start(queues, buffers); !started) return started;
  }
  const auto mac = nic->address();
  auto kernel_port = Port::add(fmt::format("net_tap0,iface={},mac={:02x}",
                                           settings.fast_path.kernel_port, fmt::join(mac, ":")));
  if (!kernel_port) return std::unexpected(kernel_port.error());
  if (auto started = kernel_port->start(queues, buffers); !started) return started;
  auto made =
      PortLink::make({*nic, *kernel_port, *interface, max_mtu}, settings.fast_path.kernel_port,
                     std::move(*home), std::move(*there), settings.port_file());
  if (!made) return std::unexpected(made.error());
  link.emplace(std::move(*made));
  if (auto restored = link->restore(); !restored)
    say(format_error(restored.error()));  // what could be set is
  if (auto followed = link->follow(); !followed) return followed;
  return start_lcores(*nic, *kernel_port);
}

Result<> Worker::Parts::start_lcores(const Port& nic, const Port& kernel_port) {
  const auto count = static_cast<unsigned>(settings.fast_path.lcores.size());
  auto opened = Account::open(settings.folder + "/account", count);
  if (!opened) return std::unexpected(opened.error());
  account = std::move(*opened);
  auto made = TableSwitch::make(count);
  if (!made) return std::unexpected(made.error());
  tables = std::move(*made);
  for (unsigned number = 0; number < count; number++) {
    const auto name = fmt::format("drops{}", number);
    rte_ring* ring = rte_ring_create_elem(name.c_str(), sizeof(moat_drop), drops_kept,
                                          SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    if (ring == nullptr) return std::unexpected(Error{"no memory for the reports of drops", {}});
    const Forwarder forwarder(
        {nic.number(), kernel_port.number(), static_cast<std::uint16_t>(number)},
        account.counters(number), {kinds, account.sources(number), link->ifindex()}, ring);
    lcores.push_back(std::make_unique<Lcore>(
        Lcore{forwarder, ring, tables.get(), &is_ending, number, settings.idle_us}));
    if (rte_eal_remote_launch(run_lcore, lcores.back().get(), number + 1) != 0)
      return std::unexpected(Error{fmt::format("lcore {} does not start", number), {}});
  }
  return {};
}

Result<> Worker::Parts::listen() {
  const HelloMessage hello = {.version = channel_version,
                              .abi = MOAT_ABI,
                              .pid = static_cast<std::uint32_t>(::getpid()),
                              .lcores = static_cast<std::uint32_t>(lcores.size()),
                              .ifindex = link->ifindex()};
  ChannelServer::Worker worker = {
      .publish = [this](const Table& table, Fd file) { return publish(table, std::move(file)); },
      .live =
          [this] {
            const LiveTable* live = tables->live();
            return live ? name_of(live->table.header()) : TableName{};
          },
      .table = [this] { return memfd.get(); },
      .status = [this] { return status(); }};
  auto listening = ChannelServer::listen(settings.socket(), hello, account, std::move(worker));
  if (!listening) return std::unexpected(listening.error());
  channel.emplace(std::move(*listening));
  return {};
}

Result<> Worker::Parts::publish(const Table& table, Fd file) {
  auto live = LiveTable::make(table, allocate_dpdk);
  if (!live) return std::unexpected(live.error());
  const auto generation = table.header().generation;
  tables->publish(std::move(*live));
  memfd = std::move(file);
  say(fmt::format("generation {} is live", generation));
  return {};
}

StatusMessage Worker::Parts::status() const {
  StatusMessage status = {};
  if (const LiveTable* live = tables->live()) {
    status.live = name_of(live->table.header());
    status.live.digest = table_digest(live->table.bytes());
  }
  status.lcores = static_cast<std::uint32_t>(lcores.size());
  status.has_hugepages = eal->has_hugepages();
  status.nic = link->nic_status();
  status.kernel_port = link->kernel_status();
  for (const auto& lcore : lcores) {
    const ForwardCounts& counts = lcore->forwarder.counts();
    status.nic.tx_full += counts.to_nic_full;
    status.nic.rx_errors += counts.untagged;
    status.closed += counts.closed;
    status.kernel_port.tx_full += counts.to_kernel_full;
  }
  return status;
}

// With nobody to tell them to the rings fill, and keep the oldest.
void Worker::Parts::tell_drops() {
  if (channel->connection() < 0) return;
  for (const auto& lcore : lcores) {
    std::array<moat_drop, DropsMessage::max_drops> some;
    unsigned got = 0;
    while (drops.size() < some.size() && (got = rte_ring_sc_dequeue_burst_elem(
                                              lcore->drops, some.data(), sizeof(moat_drop),
                                              static_cast<unsigned>(some.size()), nullptr)) != 0) {
      drops.insert(drops.end(), some.begin(), some.begin() + got);
      const auto sent = channel->send_drops(drops);
      drops.erase(drops.begin(), drops.begin() + static_cast<std::ptrdiff_t>(sent));
    }
  }
  const auto sent = channel->send_drops(drops);
  drops.erase(drops.begin(), drops.begin() + static_cast<std::ptrdiff_t>(sent));
}

Result<> Worker::Parts::serve() {
  for (unsigned round = 0;; round++) {
    std::array<pollfd, 5> fds = {{{signals.get(), POLLIN, 0},
                                  {channel->listener(), POLLIN, 0},
                                  {channel->connection(), POLLIN, 0},
                                  {link->home_fd(), POLLIN, 0},
                                  {link->there_fd(), POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), round_ms) < 0) continue;
    if (fds[0].revents != 0) return {};
    if (fds[1].revents != 0)
      if (auto accepted = channel->accept(); !accepted) say(format_error(accepted.error()));
    if (fds[2].revents != 0)
      if (auto served = channel->serve(); !served)
        say("moatd is gone, and what is live stays: " + format_error(served.error()));
    const bool is_time = round % rounds_between_looks == 0;
    if (fds[3].revents != 0 || fds[4].revents != 0 || (is_time && link->is_silent()))
      if (auto followed = link->follow(); !followed) return followed;
    if (is_time)
      if (auto saved = link->save(); !saved) say(format_error(saved.error()));
    tell_drops();
  }
}

Worker::Worker(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Worker::~Worker() {
  parts_->is_ending = true;
  if (parts_->eal) rte_eal_mp_wait_lcore();
  if (parts_->link) parts_->link->close_ports();
}

Result<std::unique_ptr<Worker>> Worker::start(const DpdkSettings& settings) {
  std::unique_ptr<Worker> worker(new Worker(std::make_unique<Parts>()));
  worker->parts_->settings = settings;
  // Kernels before 5.11 count af_xdp's memory and program against it.
  const rlimit no_limit = {RLIM_INFINITY, RLIM_INFINITY};
  ::setrlimit(RLIMIT_MEMLOCK, &no_limit);
  std::error_code error;
  std::filesystem::create_directories(settings.folder, error);
  if (error)
    return std::unexpected(Error{"make folder " + settings.folder + ": " + error.message(), {}});
  // Before DPDK has threads, all of which are to leave these signals alone.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  ::sigprocmask(SIG_BLOCK, &ends, nullptr);
  worker->parts_->signals = Fd(::signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK));
  if (auto started = worker->parts_->start_ports(); !started)
    return std::unexpected(started.error());
  if (auto listening = worker->parts_->listen(); !listening)
    return std::unexpected(listening.error());
  return worker;
}

Result<> Worker::run() {
  say(fmt::format("{} and {} are linked; closed until there is a table",
                  parts_->settings.fast_path.nic, parts_->settings.fast_path.kernel_port));
  return parts_->serve();
}

}  // namespace moat
