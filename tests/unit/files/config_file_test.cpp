// SPDX-License-Identifier: BSD-2-Clause
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "control/files/reading.h"
#include "tests/support/fault_text.h"

namespace moat {
namespace {

using namespace std::chrono_literals;

ConfigResult read(std::string_view text) { return read_config("moat.yaml", text); }

TEST(ReadConfig, ReadsTheExample) {
  std::ifstream file("config/moat.yaml", std::ios::binary);
  ASSERT_TRUE(file) << "run in the source tree's root";
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto reading = read(text);
  ASSERT_TRUE(reading.value) << full_text(reading.faults);
  EXPECT_TRUE(reading.faults.empty()) << full_text(reading.faults);
  EXPECT_EQ(reading.value->interfaces, std::vector<std::string>{"eth0"});
}

TEST(ReadConfig, TakesWhatIsWritten) {
  const auto reading = read(
      "interfaces: [eth0, bond0.100]\n"
      "attach: generic\n"
      "mode: monitor\n"
      "databases: a\n"
      "managed-ranges: /var/b\n"
      "trusted-interfaces: []\n"
      "backstop: false\n"
      "drop-sessions: false\n"
      "propagation: {bound: 1m, reconcile: 1500ms, settle: 1ms}\n"
      "managed-range-updates: {guard: 200%, hold-down: 90s}\n");
  ASSERT_TRUE(reading.value) << full_text(reading.faults);
  const auto& config = *reading.value;
  EXPECT_EQ(config.interfaces, (std::vector<std::string>{"eth0", "bond0.100"}));
  EXPECT_EQ(config.attach, WantedAttach::generic);
  EXPECT_EQ(config.mode, Mode::monitor);
  EXPECT_EQ(config.databases, "a");
  EXPECT_EQ(config.managed_ranges, "/var/b");
  EXPECT_TRUE(config.trusted_interfaces.empty());
  EXPECT_FALSE(config.backstop);
  EXPECT_FALSE(config.drop_sessions);
  EXPECT_EQ(config.bound, 60s);
  EXPECT_EQ(config.reconcile, 1500ms);
  EXPECT_EQ(config.settle, 1ms);
  EXPECT_EQ(config.guard, 200u);
  EXPECT_EQ(config.hold_down, 90s);
}

TEST(ReadConfig, TurnsOffGuardAndHoldDown) {
  for (const auto* text : {"{guard: off, hold-down: 0}", "{guard: off, hold-down: off}"}) {
    const auto reading =
        read("interfaces: [eth0]\nmanaged-range-updates: " + std::string(text) + "\n");
    ASSERT_TRUE(reading.value) << full_text(reading.faults);
    EXPECT_EQ(reading.value->guard, 0u);
    EXPECT_EQ(reading.value->hold_down, 0ms);
  }
}

TEST(ReadConfig, SaysWhereItNamesWhatAHostHas) {
  const auto reading = read(
      "interfaces: [eth0, eth1]\n"
      "trusted-interfaces:\n"
      "  - lo\n"
      "backstop-cgroup: /sys/fs/cgroup/a\n");
  ASSERT_EQ(reading.interfaces.size(), 2);
  EXPECT_EQ(reading.interfaces[1].name, "eth1");
  EXPECT_EQ(reading.interfaces[1].place, (Place{"moat.yaml", 1, 20}));
  ASSERT_EQ(reading.trusted_interfaces.size(), 1);
  EXPECT_EQ(reading.trusted_interfaces[0].place, (Place{"moat.yaml", 3, 5}));
  EXPECT_EQ(reading.backstop_cgroup_place, (Place{"moat.yaml", 4, 18}));
}

TEST(ReadConfig, KeepsTheDefaultsOfWhatIsLeftOut) {
  const auto reading = read("interfaces: [eth0]\npropagation: {settle: 100ms}\n");
  ASSERT_TRUE(reading.value) << full_text(reading.faults);
  EXPECT_EQ(reading.value->attach, WantedAttach::automatic);
  EXPECT_EQ(reading.value->mode, Mode::enforce);
  EXPECT_EQ(reading.value->databases, "databases.d");
  EXPECT_EQ(reading.value->trusted_interfaces, std::vector<std::string>{"lo"});
  EXPECT_TRUE(reading.value->backstop);
  EXPECT_EQ(reading.value->bound, 120s);
  EXPECT_EQ(reading.value->settle, 100ms);
  EXPECT_EQ(reading.value->guard, 50u);
  EXPECT_EQ(reading.value->hold_down, 1h);
}

TEST(ReadConfig, TakesAFastPath) {
  const auto reading = read(
      "interfaces: []\n"
      "fast-path: {nic: \"0000:3b:00.0\", kernel-port: db0, lcores: [2, 3], hugepages: off}\n");
  ASSERT_TRUE(reading.value) << full_text(reading.faults);
  EXPECT_TRUE(reading.faults.empty()) << full_text(reading.faults);
  const auto& fast_path = reading.value->fast_path;
  ASSERT_TRUE(fast_path);
  EXPECT_EQ(fast_path->nic, "0000:3b:00.0");
  EXPECT_EQ(fast_path->kernel_port, "db0");
  EXPECT_EQ(fast_path->lcores, (std::vector<unsigned>{2, 3}));
  EXPECT_EQ(fast_path->hugepages, Hugepages::off);
}

TEST(ReadConfig, AFastPathNeedsItsNicAlone) {
  const auto reading = read("interfaces: [eth0]\nfast-path:\n  nic: net_af_xdp0,iface=eth1\n");
  ASSERT_TRUE(reading.value) << full_text(reading.faults);
  EXPECT_EQ(reading.value->fast_path->kernel_port, "moat0");
  EXPECT_EQ(reading.value->fast_path->lcores, std::vector<unsigned>{0});
  EXPECT_EQ(reading.value->fast_path->hugepages, Hugepages::automatic);
  EXPECT_FALSE(read("interfaces: [eth0]\n").value->fast_path);
}

class ConfigFault : public testing::TestWithParam<FaultCase> {};

TEST_P(ConfigFault, IsNamedWithItsPlace) {
  const auto reading = read(GetParam().text);
  EXPECT_EQ(fault_text(reading.faults), GetParam().faults);
  EXPECT_EQ(reading.value.has_value(), !has_error(reading.faults));
}

const std::string head = "interfaces: [eth0]\n";

INSTANTIATE_TEST_SUITE_P(
    Keys, ConfigFault,
    testing::Values(
        FaultCase{"empty", "", "1:1 the file is empty\n"},
        FaultCase{"no interfaces", "mode: monitor\n", "1:1 moat.yaml has no `interfaces`\n"},
        FaultCase{"interfaces without value", "interfaces:\n", "1:1 `interfaces` has no value\n"},
        FaultCase{"no interface", "interfaces: []\n", "1:13 warning: no interface is guarded\n"},
        FaultCase{"one interface, no list", "interfaces: eth0\n",
                  "1:13 `interfaces` is a list: eth0\n"},
        FaultCase{"long name", "interfaces: [eth0, abcdefghijklmnop]\n",
                  "1:20 an interface name of 16 bytes: abcdefghijklmnop\n"},
        FaultCase{"odd names", "interfaces: [a/b, 'a b', '.', ok, '']\n",
                  "1:14 no interface can have such a name: a/b\n"
                  "1:19 no interface can have such a name: a b\n"
                  "1:26 no interface can have such a name: .\n"
                  "1:35 an interface without a name\n"},
        FaultCase{"patterns", "interfaces: ['eth*', 'en?', 'e[01]']\n",
                  "1:14 names of interfaces are not patterns: eth*\n"
                  "1:22 names of interfaces are not patterns: en?\n"
                  "1:29 names of interfaces are not patterns: e[01]\n"},
        FaultCase{"twice", "interfaces: [eth0, eth0]\n", "1:20 the same interface twice: eth0\n"},
        FaultCase{"loopback", "interfaces: [eth0, lo]\n",
                  "1:20 lo carries the host's connections to itself, which would be dropped: lo\n"},
        FaultCase{
            "no backstop", head + "backstop: false\n",
            "2:11 warning: without the backstop, an interface that appears while Moat runs is "
            "open until the program is on it, a few milliseconds later; one that `interfaces` does "
            "not name stays open: false\n"},
        FaultCase{"unknown key", head + "interface: eth1\n",
                  "2:1 moat.yaml has no such key: interface\n"},
        FaultCase{"bad attach", head + "attach: offload\n", "2:9 no such way to attach: offload\n"},
        FaultCase{"bad mode", head + "mode: audit\n", "2:7 no such mode: audit\n"},
        FaultCase{"yes for true", head + "backstop: yes\n",
                  "2:11 `backstop` is neither true nor false: yes\n"},
        FaultCase{"quoted true", head + "drop-sessions: 'true'\n",
                  "2:16 `drop-sessions` is neither true nor false: true\n"},
        FaultCase{"empty folder", head + "databases: ''\n", "2:12 `databases` is empty\n"},
        FaultCase{"one folder for both", head + "databases: managed-ranges.d\n",
                  "2:1 databases and managed ranges share a folder: managed-ranges.d\n"},
        FaultCase{"unknown key in propagation", head + "propagation: {bond: 1s}\n",
                  "2:15 propagation has no such key: bond\n"},
        FaultCase{"bad durations", head + "propagation: {bound: 120, reconcile: x, settle: 0ms}\n",
                  "2:22 no unit in the time: 120\n2:38 not a duration: x\n"
                  "2:49 the duration is out of range: 0ms\n"},
        FaultCase{
            "reconcile beyond the bound", head + "propagation: {bound: 10s}\n",
            "2:14 warning: a change that goes unnoticed may be overdue before a reconcile\n"}));

INSTANTIATE_TEST_SUITE_P(
    ManagedRangeUpdates, ConfigFault,
    testing::Values(FaultCase{"no percent", head + "managed-range-updates: {guard: 50}\n",
                              "2:32 not a percentage: 50\n"},
                    FaultCase{"none", head + "managed-range-updates: {guard: 0%}\n",
                              "2:32 not a percentage: 0%\n"},
                    FaultCase{"too many", head + "managed-range-updates: {guard: 1001%}\n",
                              "2:32 the percentage is out of range: 1001%\n"},
                    FaultCase{"no unit", head + "managed-range-updates: {hold-down: 60}\n",
                              "2:36 no unit in the time: 60\n"},
                    FaultCase{"too short", head + "managed-range-updates: {hold-down: 999ms}\n",
                              "2:36 the duration is out of range: 999ms\n"},
                    FaultCase{"too long", head + "managed-range-updates: {hold-down: 25h}\n",
                              "2:36 the duration is out of range: 25h\n"},
                    FaultCase{"mistyped", head + "managed-range-updates: {holddown: 1h}\n",
                              "2:25 managed-range-updates has no such key: holddown\n"}));

INSTANTIATE_TEST_SUITE_P(
    FastPath, ConfigFault,
    testing::Values(
        FaultCase{"no NIC", head + "fast-path: {lcores: [1]}\n", "2:12 fast-path has no `nic`\n"},
        FaultCase{"an interface", head + "fast-path: {nic: eth1}\n",
                  "2:18 neither a PCI address nor a DPDK device: eth1\n"},
        FaultCase{"short address", head + "fast-path: {nic: \"3b:00.0\"}\n",
                  "2:18 a PCI address without its domain: 3b:00.0\n"},
        FaultCase{"two words", head + "fast-path: {nic: \"net_null0 --vdev=x\"}\n",
                  "2:18 neither a PCI address nor a DPDK device: net_null0 --vdev=x\n"},
        FaultCase{"loopback as NIC", head + "fast-path: {nic: \"net_af_xdp0,iface=lo\"}\n",
                  "2:18 lo carries the host's connections to itself, which would be dropped: "
                  "net_af_xdp0,iface=lo\n"},
        FaultCase{"bad port", head + "fast-path: {nic: net_null0, kernel-port: a/b}\n",
                  "2:42 no interface can have such a name: a/b\n"},
        FaultCase{"bad CPUs", head + "fast-path: {nic: net_null0, lcores: [1, x, -1, 1024, 1]}\n",
                  "2:41 not the number of a CPU, 0 to 1023: x\n"
                  "2:44 not the number of a CPU, 0 to 1023: -1\n"
                  "2:48 not the number of a CPU, 0 to 1023: 1024\n"
                  "2:54 the same CPU twice: 1\n"},
        FaultCase{"no CPU", head + "fast-path: {nic: net_null0, lcores: []}\n",
                  "2:37 0 lcores; the fast path has 1 to 64\n"},
        FaultCase{"bad hugepages", head + "fast-path: {nic: net_null0, hugepages: yes}\n",
                  "2:40 no such use of hugepages: yes\n"},
        FaultCase{"unknown key", head + "fast-path: {nic: net_null0, lcore: [1]}\n",
                  "2:29 fast-path has no such key: lcore\n"},
        FaultCase{"what XDP guards",
                  "interfaces: [eth0, moat0]\ntrusted-interfaces: [lo, moat0]\n"
                  "fast-path: {nic: \"net_af_packet0,iface=eth0\"}\n",
                  "1:14 this is the fast path's NIC, which moat-dpdk takes from the kernel: eth0\n"
                  "1:20 this is the fast path's kernel port: what comes by it, moat-dpdk has "
                  "judged: moat0\n"
                  "2:26 this is the fast path's kernel port: what comes by it, moat-dpdk has "
                  "judged: moat0\n"}));

TEST(ParseDuration, TakesNumberAndUnit) {
  EXPECT_EQ(parse_duration("1ms"), 1ms);
  EXPECT_EQ(parse_duration("50ms"), 50ms);
  EXPECT_EQ(parse_duration("30s"), 30s);
  EXPECT_EQ(parse_duration("2m"), 2min);
  EXPECT_EQ(parse_duration("24h"), 24h);
  EXPECT_EQ(parse_duration("86400000ms"), 24h);
}

TEST(ParseDuration, RefusesAllElse) {
  for (const auto* text : {"", "s", "0s", "-1s", "+1s", "1", "1.5s", "1 s", " 1s", "1s ", "1S",
                           "1d", "25h", "86400001ms", "99999999999999999999s", "1h30m", "00"}) {
    EXPECT_FALSE(parse_duration(text).has_value()) << text;
  }
}

TEST(ReadConfig, TakesWhoMayAskAndWhereMetricsAreTold) {
  const auto config =
      read("interfaces: [eth0]\nsocket-readers: dba\nmetrics: 127.0.0.1:9723\n").value;
  ASSERT_TRUE(config);
  EXPECT_EQ(config->socket_readers, "dba");
  EXPECT_EQ(config->metrics, "127.0.0.1:9723");
  EXPECT_EQ(read("interfaces: [eth0]\nmetrics: \"[::1]:9723\"\n").value->metrics, "[::1]:9723");
  for (const auto* bad : {"metrics: 0.0.0.0:9723", "metrics: 9723", "socket-readers: a b",
                          "socket-readers: \"\"", "socket-readers: [dba]"}) {
    EXPECT_FALSE(read(std::string("interfaces: [eth0]\n") + bad + "\n").value) << bad;
  }
}

}  // namespace
}  // namespace moat
