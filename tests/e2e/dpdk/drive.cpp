// SPDX-License-Identifier: BSD-2-Clause
// moatd's part in the tests of moat-dpdk: compiles rule files and speaks on the channel.
//
//   drive SOCKET publish RULES             returns when it is enforced
//   drive SOCKET fault KIND RULES          publishes one that is abi, magic, damaged, truncated or
//                                          unsealed; prints the refusal, fails where there is none
//   drive SOCKET status                    NAME=VALUE a line
//   drive SOCKET counters                  SLOT PACKETS BYTES a line, of those that are not zero
//   drive SOCKET drops COUNT               waits for that many packets' drops; a line each
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>

#include <cstdio>
#include <map>
#include <span>

#include "control/cli/rule_load.h"
#include "control/enforce/compile.h"
#include "control/os/clock.h"
#include "dataplane/dpdk/channel_client.h"

namespace moat {
namespace {

std::unexpected<Error> refuse(std::string message) {
  return std::unexpected(Error{std::move(message), {}});
}

// Databases and rules get their slots in the order in which they come.
Result<Table> compile_rules(const std::string& path, std::uint64_t generation) {
  const auto clocks = KernelClocks::open();
  if (!clocks) return std::unexpected(clocks.error());
  const ClockPair clock = clocks->read().now;
  LoadOptions options;
  options.now = std::chrono::floor<std::chrono::seconds>(clock.wall);
  const LoadedRules rules = load_rules(path, options);
  if (rules.has_error()) return refuse("rules with errors in " + path);
  std::map<std::string, std::uint8_t, std::less<>> owners;
  std::map<std::string, std::uint16_t> slots;
  const SlotMap map = {
      [&](std::string_view id) { return owners.emplace(id, owners.size() + 1).first->second; },
      [&](std::string_view database, std::string_view rule) {
        return slots.emplace(fmt::format("{}/{}", database, rule), slots.size() + 1).first->second;
      }};
  return compile(rules.policy, map, clock, generation);
}

Result<> publish(ChannelClient& worker, const std::string& rules, std::uint64_t generation) {
  const auto table = compile_rules(rules, generation);
  if (!table) return std::unexpected(table.error());
  return worker.publish(*table);
}

Result<> publish_fault(ChannelClient& worker, const std::string& kind, const std::string& rules) {
  const auto table = compile_rules(rules, 99);
  if (!table) return std::unexpected(table.error());
  std::vector<std::byte> bytes(table->bytes().begin(), table->bytes().end());
  auto& header = *reinterpret_cast<moat_table*>(bytes.data());
  if (kind == "abi") header.abi++;
  if (kind == "magic") header.magic++;
  if (kind != "damaged") header.digest = table_digest(bytes);
  if (kind == "damaged") bytes.back() ^= std::byte{1};
  const TableName name = {header.generation, header.digest, header.size};
  if (kind == "truncated") bytes.resize(bytes.size() / 2);
  const Fd memfd(::memfd_create("fault", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (::write(memfd.get(), bytes.data(), bytes.size()) < 0) return refuse("write");
  const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
  if (kind != "unsealed") ::fcntl(memfd.get(), F_ADD_SEALS, seals);
  const auto published = worker.publish(name, memfd.get());
  if (published) return refuse("it was taken");
  fmt::print("{}\n", format_error(published.error()));
  return worker.status() ? Result<>() : refuse("the channel ended");
}

void print_port(const char* which, const PortStatus& port) {
  fmt::print(
      "{0}={1}\n{0}.interface={2}\n{0}.problem={3}\n{0}.mtu={4}\n{0}.link={5}\n"
      "{0}.promiscuous={6}\n{0}.rx={7}\n{0}.missed={8}\n{0}.no_mbuf={9}\n{0}.tx={10}\n"
      "{0}.tx_full={11}\n",
      which, port.name, port.interface, port.problem, port.mtu, port.has_link, port.is_promiscuous,
      port.rx_packets, port.rx_missed, port.rx_no_mbuf, port.tx_packets, port.tx_full);
}

Result<> print_status(ChannelClient& worker) {
  const auto status = worker.status();
  if (!status) return std::unexpected(status.error());
  fmt::print("generation={}\nlcores={}\nhugepages={}\nclosed={}\n", status->live.generation,
             status->lcores, status->has_hugepages, status->closed);
  print_port("nic", status->nic);
  print_port("kernel", status->kernel_port);
  return {};
}

Result<> print_counters(const ChannelClient& worker) {
  const auto totals = worker.account().sum();
  for (std::size_t slot = 0; slot < totals.size(); slot++)
    if (totals[slot].packets != 0)
      fmt::print("{} {} {}\n", slot, totals[slot].packets, totals[slot].bytes);
  return {};
}

Result<> print_drops(ChannelClient& worker, std::uint64_t wanted) {
  for (std::uint64_t packets = 0; packets < wanted;) {
    pollfd waits = {worker.fd(), POLLIN, 0};
    ::poll(&waits, 1, -1);
    auto read = worker.read_drops([&](const moat_drop& drop) {
      packets += drop.packets;
      fmt::print("{}.{}.{}.{} port {} {} ifindex {}, {} packets\n", drop.source[0], drop.source[1],
                 drop.source[2], drop.source[3], __builtin_bswap16(drop.port),
                 reason_text(drop.reason), drop.ifindex, drop.packets);
    });
    if (!read) return read;
  }
  return {};
}

Result<> run(std::span<char*> arguments) {
  if (arguments.size() < 3) return refuse("usage: see drive.cpp");
  const std::string command = arguments[2];
  const auto rest = arguments.subspan(3);
  auto worker = ChannelClient::connect(arguments[1]);
  if (!worker) return std::unexpected(worker.error());
  if (command == "publish" && rest.size() == 1)
    return publish(*worker, rest[0], worker->hello().live.generation + 1);
  if (command == "fault" && rest.size() == 2) return publish_fault(*worker, rest[0], rest[1]);
  if (command == "status") return print_status(*worker);
  if (command == "counters") return print_counters(*worker);
  if (command == "drops" && rest.size() == 1) return print_drops(*worker, std::stoull(rest[0]));
  return refuse("usage: see drive.cpp");
}

}  // namespace
}  // namespace moat

int main(int count, char** arguments) {
  const auto done = moat::run({arguments, static_cast<std::size_t>(count)});
  if (done) return 0;
  std::fprintf(stderr, "drive: %s\n", moat::format_error(done.error()).c_str());
  return 1;
}
