// SPDX-License-Identifier: BSD-2-Clause
#include "control/files/host_checks.h"

#include <gtest/gtest.h>

#include "tests/support/fault_text.h"
#include "tests/support/temporary_folder.h"

namespace moat {
namespace {

const Place place{"orders.yaml", 2, 11};
constexpr Address five{0x0a000005}, six{0x0a000006}, seven{0x0a000007};  // 10.0.0.5, ...
constexpr Address bridge{0xac110001};

HostFacts host_with(std::vector<Address> addresses) {
  HostFacts host;
  host.addresses = std::move(addresses);
  return host;
}

Faults check(const Endpoint& endpoint, const HostFacts& host, bool is_forced = false) {
  return check_on_host(endpoint, place, host, is_forced);
}

TEST(HostChecks, AreContentWithTheUsual) {
  EXPECT_TRUE(check({std::nullopt, {5432, 6432}, false}, {}).empty());
}

TEST(HostChecks, WarnOfPortsThatTheHostMayTake) {
  HostFacts host;
  host.reserved = {{8080, 8080}, {50000, 50100}};
  const auto faults = check({std::nullopt, {5432, 32767, 32768, 50001, 60999, 61000}, false}, host);
  ASSERT_EQ(faults.size(), 1);
  EXPECT_EQ(faults[0].severity, Severity::warning);
  EXPECT_EQ(faults[0].place, place);
  EXPECT_EQ(faults[0].value, "32768, 60999");
  EXPECT_EQ(faults[0].remedy,
            "echo net.ipv4.ip_local_reserved_ports=8080,50000-50100,32768,60999 "
            ">/etc/sysctl.d/90-moat.conf; sysctl -p /etc/sysctl.d/90-moat.conf");
}

TEST(HostChecks, ReserveThePortsOfAllDatabasesByOneSetting) {
  HostFacts host;
  host.guarded = {5432, 45000, 40000, 40000};
  for (const auto port : std::vector<std::uint16_t>{40000, 45000}) {
    const auto faults = check({std::nullopt, {port}, false}, host);
    ASSERT_EQ(faults.size(), 1);
    EXPECT_EQ(faults[0].value, std::to_string(port));
    EXPECT_TRUE(faults[0].remedy.starts_with(
        "echo net.ipv4.ip_local_reserved_ports=40000,45000 >/etc/sysctl.d/"))
        << faults[0].remedy;
  }
}

TEST(HostChecks, WarnOfAnAddressThatNoInterfaceHas) {
  const auto faults = check({five, {5432}, false}, host_with({six}));
  ASSERT_EQ(faults.size(), 1);
  EXPECT_EQ(faults[0].severity, Severity::warning);
  EXPECT_EQ(faults[0].value, "10.0.0.5");
  EXPECT_EQ(faults[0].remedy, "behind NAT, name the private address; here are 10.0.0.6");
  EXPECT_TRUE(check({six, {5432}, false}, host_with({six})).empty());
}

TEST(HostChecks, RefuseAllPortsOfTheOnlyAddressUnlessForced) {
  const Endpoint all{six, {}, true};
  const auto refused = check(all, host_with({six}));
  ASSERT_EQ(refused.size(), 1);
  EXPECT_EQ(refused[0].severity, Severity::error);
  const auto forced = check(all, host_with({six}), true);
  ASSERT_EQ(forced.size(), 1);
  EXPECT_EQ(forced[0].severity, Severity::warning);
  EXPECT_TRUE(check(all, host_with({six, seven})).empty());
}

TEST(HostChecks, WarnOfMptcpEndpointsByWhichClientsMayGoOn) {
  HostFacts host = host_with({six});
  host.mptcp = {{.id = 3, .address = six, .port = 6000}};
  const auto faults = check({std::nullopt, {5432}, false}, host);
  ASSERT_EQ(faults.size(), 1);
  EXPECT_EQ(faults[0].severity, Severity::warning);
  EXPECT_EQ(faults[0].value, "10.0.0.6 port 6000");
  EXPECT_NE(faults[0].remedy.find("ip mptcp endpoint delete id 3"), std::string::npos);
  EXPECT_TRUE(check({std::nullopt, {5432, 6000}, false}, host).empty());
  EXPECT_TRUE(check({six, {5432, 6000}, false}, host).empty());
  host.addresses.push_back(seven);
  EXPECT_EQ(check({seven, {5432, 6000}, false}, host).size(), 1) << "of another address";
  EXPECT_TRUE(check({six, {}, true}, host).empty());
}

TEST(HostChecks, WarnOfIpv6ThatAllPortsLeavesOpen) {
  auto host = host_with({six, seven});
  host.ipv6_ports = {22, 5432};
  Endpoint all{six, {}, true};
  const auto faults = check(all, host);
  ASSERT_EQ(faults.size(), 1);
  EXPECT_EQ(faults[0].severity, Severity::warning);
  EXPECT_EQ(faults[0].place, place);
  EXPECT_EQ(faults[0].value, "22, 5432");
  all.ipv6 = Ipv6::closed;
  EXPECT_TRUE(check(all, host).empty());
  all.ipv6 = Ipv6::open;
  EXPECT_TRUE(check(all, host).empty());
  all.ipv6.reset();
  host.ipv6_ports = {};
  EXPECT_TRUE(check(all, host).empty()) << "nothing listens";
  EXPECT_TRUE(check({six, {5432}, false}, host_with({six})).empty());
}

TEST(HostChecks, WarnThatWhatIsForwardedIsClosedToo) {
  auto host = host_with({six, bridge});
  host.is_forwarding = true;
  const auto faults = check({std::nullopt, {5432, 6432}, false}, host);
  ASSERT_EQ(faults.size(), 1);
  EXPECT_EQ(faults[0].severity, Severity::warning);
  EXPECT_EQ(faults[0].place, place);
  EXPECT_EQ(faults[0].value, "5432, 6432");
  EXPECT_EQ(faults[0].remedy,
            "if that is not meant, name the address that the database listens on (here are "
            "10.0.0.6, 172.17.0.1): at the host's other addresses the port is open then");
  EXPECT_TRUE(check({six, {5432}, false}, host).empty());
}

// eth0 is wan0 as well, and lo is local.
HostFacts host_with_interfaces() {
  HostFacts host;
  host.interfaces = {{{"lo", "local"}, true}, {{"eth0", "wan0"}, false}, {{"docker0"}, false}};
  return host;
}

std::string check(std::string_view config) {
  return fault_text(check_on_host(read_config("moat.yaml", config), host_with_interfaces()));
}

TEST(HostChecks, AreContentWithInterfacesThatAreThere) {
  EXPECT_EQ(check("interfaces: [eth0]\ntrusted-interfaces: [lo, docker0]\n"), "");
  EXPECT_EQ(check("interfaces: [wan0]\ntrusted-interfaces: [local]\n"), "");
}

TEST(HostChecks, WarnOfInterfacesThatAreNotThere) {
  EXPECT_EQ(
      check("interfaces: [eth0, eht1]\ntrusted-interfaces: [lo, docker]\n"),
      "1:20 warning: this host has no such interface; it is guarded once it appears: eht1\n"
      "2:26 warning: this host has no such interface, so there is nothing to trust: docker\n");
}

TEST(HostChecks, WarnOfInterfacesWithoutEthernet) {
  auto host = host_with_interfaces();
  host.links = {{.ifindex = 2, .name = "docker0", .hardware_type = 65534}};
  EXPECT_EQ(
      fault_text(check_on_host(read_config("moat.yaml", "interfaces: [eth0, docker0]\n"), host)),
      "1:20 warning: its frames have no Ethernet header (hardware type 65534), so Moat's "
      "program cannot be on it: docker0\n");
}

TEST(HostChecks, WarnOfLcoresThatAreNotOnline) {
  auto host = host_with_interfaces();
  host.cpus = {{0, 1}, {4, 7}};
  const auto config = read_config(
      "moat.yaml", "interfaces: [eth0]\nfast-path: {nic: net_ring0, lcores: [1, 2, 4, 8]}\n");
  EXPECT_EQ(fault_text(check_on_host(config, host)),
            "2:41 warning: this CPU is not online, so moat-dpdk cannot start and its NIC stays "
            "closed: 2\n"
            "2:47 warning: this CPU is not online, so moat-dpdk cannot start and its NIC stays "
            "closed: 8\n");
}

TEST(HostChecks, WarnOfInterfacesThatAreGuardedAndTrusted) {
  EXPECT_EQ(check("interfaces: [eth0]\ntrusted-interfaces: [lo, wan0]\n"),
            "2:26 warning: this interface is both guarded and trusted: what Moat's program there "
            "lets by (a tunnel's packets, say) reaches local sockets without rules: wan0\n");
  EXPECT_EQ(
      check("interfaces: [eth0]\ntrusted-interfaces: [wan0]\nbackstop: false\n").find("trusted:"),
      std::string::npos)
      << "nothing trusts it";
}

TEST(HostChecks, WarnOfInterfacesThatStayOpenWithoutTheBackstop) {
  HostFacts host;
  host.interfaces = {{{"lo"}, true}, {{"eth0"}, false}, {{"eth1", "wan1"}, false}};
  host.links = {{.ifindex = 1, .name = "lo", .loopback = true, .up = true},
                {.ifindex = 2, .name = "eth0", .up = true},
                {.ifindex = 3, .name = "eth1", .other_names = {"wan1"}, .up = true}};
  const auto check = [&](const std::string& text) {
    auto faults = check_on_host(read_config("moat.yaml", text), host);
    return fault_text(faults);
  };
  EXPECT_EQ(check("interfaces: [eth0]\n"), "") << "the backstop judges";
  EXPECT_EQ(check("interfaces: [eth0]\nbackstop: false\n"),
            "1:14 warning: without the backstop, everybody gets in by what is not named here: "
            "eth1\n");
  EXPECT_EQ(check("interfaces: [eth0, wan1]\nbackstop: false\n"), "");
  EXPECT_EQ(check("interfaces: [eth0]\ntrusted-interfaces: [lo, eth1]\nbackstop: false\n"), "");
}

TEST(HostChecks, NameTheNearestInterface) {
  const auto interfaces = host_with_interfaces().interfaces;
  EXPECT_EQ(interface_remedy("docker00", interfaces, {}), "did you mean docker0?");
  EXPECT_EQ(interface_remedy("eth1", interfaces, {"wan0"}), "did you mean eth0?");
  EXPECT_EQ(interface_remedy("eth1", interfaces, {"eth0"}), "check the name with `ip link`");
}

TEST(HostChecks, RefuseTheLoopbackInterfaceByAnotherName) {
  const auto reading = read_config("moat.yaml", "interfaces: [eth0, local]\n");
  const auto faults = check_on_host(reading, host_with_interfaces());
  ASSERT_EQ(faults.size(), 1);
  EXPECT_EQ(faults[0].severity, Severity::error);
  EXPECT_EQ(faults[0].place, (Place{"moat.yaml", 1, 20}));
  EXPECT_EQ(faults[0].value, "local");
}

TEST(HostChecks, WarnOfACgroupThatIsNone) {
  const TemporaryFolder folder;
  const auto cgroup = [](const std::string& path) {
    return check("interfaces: [eth0]\nbackstop-cgroup: " + path + "\n");
  };
  const auto path = folder.path();
  EXPECT_EQ(cgroup(path),
            "2:18 warning: no cgroup of version 2, so the backstop is off: " + path + "\n");
  EXPECT_EQ(cgroup(path + "/gone"),
            "2:18 warning: there is no such folder, and without it the backstop is off: " + path +
                "/gone\n");
  EXPECT_EQ(check("interfaces: [eth0]\nbackstop: false\nbackstop-cgroup: /gone\n"), "");
}

TEST(HostChecks, ReadTheKernelsWayToWritePorts) {
  EXPECT_EQ(parse_port_ranges("1,5-7,65535"),
            (std::vector<PortRange>{{1, 1}, {5, 7}, {65535, 65535}}));
  EXPECT_TRUE(parse_port_ranges("").empty());
  EXPECT_TRUE(parse_port_ranges("x,70000").empty());
}

TEST(HostChecks, KnowThisHost) {
  const auto facts = read_host_facts();
  EXPECT_GT(facts.ephemeral.last, facts.ephemeral.first);
  for (const auto address : facts.addresses) EXPECT_FALSE(is_loopback(address));
  EXPECT_TRUE(has_interface(facts.interfaces, "lo"));
}

}  // namespace
}  // namespace moat
