// SPDX-License-Identifier: BSD-2-Clause
#include "control/files/host_checks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <string_view>

#include "control/files/mptcp_joins.h"
#include "control/text/nearest.h"
#include "control/text/some_of.h"
#include "dataplane/host/own_addresses.h"
#include "dataplane/host/sessions.h"
#include "dataplane/number.h"

namespace moat {
namespace {

std::string first_line(const char* path) {
  std::string line;
  std::ifstream file(path);
  std::getline(file, line);
  return line;
}

// "1,5-7"
std::string format_ranges(const std::vector<PortRange>& ranges) {
  std::vector<std::string> texts;
  texts.reserve(ranges.size());
  for (const auto [first, last] : ranges) {
    texts.push_back(first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last));
  }
  return fmt::format("{}", fmt::join(texts, ","));
}

// Those of `ports` that the host may take for a connection that it opens, ascending.
std::vector<std::uint16_t> at_risk(const std::vector<std::uint16_t>& ports, const HostFacts& host) {
  std::vector<std::uint16_t> risky;
  for (const auto port : ports) {
    const auto holds = [port](PortRange range) { return range.contains(port); };
    if (holds(host.ephemeral) && std::ranges::none_of(host.reserved, holds)) risky.push_back(port);
  }
  std::ranges::sort(risky);
  risky.erase(std::ranges::unique(risky).begin(), risky.end());
  return risky;
}

// What is reserved already stays so: a setting replaces the one before. In a file, as it would be
// lost at a boot.
std::string reserve_remedy(const Endpoint& endpoint, const HostFacts& host) {
  constexpr auto file = "/etc/sysctl.d/90-moat.conf";
  auto ports = host.guarded;
  ports.insert(ports.end(), endpoint.ports.begin(), endpoint.ports.end());
  auto reserved = host.reserved;
  for (const auto port : at_risk(ports, host)) reserved.push_back({port, port});
  return fmt::format("echo net.ipv4.ip_local_reserved_ports={} >{}; sysctl -p {}",
                     format_ranges(reserved), file, file);
}

std::optional<Fault> check_ports(const Endpoint& endpoint, const Place& place,
                                 const HostFacts& host) {
  const auto risky = at_risk(endpoint.ports, host);
  if (risky.empty()) return std::nullopt;
  return Fault{
      Severity::warning, place,
      fmt::format("the host may use this port for connections it opens ({} to {}), and replies to "
                  "them would be dropped",
                  host.ephemeral.first, host.ephemeral.last),
      fmt::format("{}", fmt::join(risky, ", ")), reserve_remedy(endpoint, host)};
}

std::string join(const std::vector<Address>& addresses) {
  std::vector<std::string> texts;
  texts.reserve(addresses.size());
  for (const auto address : addresses) texts.push_back(format_address(address));
  return fmt::format("{}", fmt::join(texts, ", "));
}

// The program sees no routing: what goes on to a guest and what is for the host look alike to it.
std::optional<Fault> check_forwarding(const Endpoint& endpoint, const Place& place,
                                      const HostFacts& host) {
  if (!host.is_forwarding || endpoint.address) return std::nullopt;
  return Fault{
      Severity::warning, place,
      "this host forwards packets (net.ipv4.ip_forward is 1), and without an address the "
      "port is closed to what it forwards as well: the port of routed guests and containers",
      fmt::format("{}", fmt::join(endpoint.ports, ", ")),
      host.addresses.empty()
          ? "if that is not meant, name the address that the database listens on: at the host's "
            "other addresses the port is open then"
          : fmt::format("if that is not meant, name the address that the database listens on (here "
                        "are {}): at the host's other addresses the port is open then",
                        join(host.addresses))};
}

std::optional<Fault> check_address(const Endpoint& endpoint, const Place& place,
                                   const HostFacts& host, bool is_forced) {
  if (!endpoint.address) return std::nullopt;
  const auto shown = format_address(*endpoint.address);
  if (std::ranges::find(host.addresses, *endpoint.address) == host.addresses.end()) {
    return Fault{Severity::warning, place, "no interface of this host has this address", shown,
                 host.addresses.empty()
                     ? "behind NAT, name the private address"
                     : fmt::format("behind NAT, name the private address; here are {}",
                                   join(host.addresses))};
  }
  if (!takes_only_address(endpoint, host.addresses)) return std::nullopt;
  return Fault{is_forced ? Severity::warning : Severity::error, place,
               "ports: all on the host's only address: the host gets no replies to connections it "
               "opens, and nobody but the sources listed can log in",
               shown, "name the ports, or give the database an address of its own"};
}

Fault warn_of_joins(const MptcpEndpoint& by, const Place& place) {
  return {Severity::warning, place,
          "who has a session may go on with it from any address by an MPTCP endpoint that this "
          "database does not guard",
          format_mptcp_endpoint(by), mptcp_remedy(by)};
}

std::optional<Fault> check_ipv6(const Endpoint& endpoint, const Place& place,
                                const HostFacts& host) {
  if (!endpoint.all || endpoint.ipv6 || host.ipv6_ports.empty()) return std::nullopt;
  return Fault{
      Severity::warning, place,
      "ports: all guards IPv4 alone: by IPv6 these ports of the host are open to everybody",
      fmt::format("{}", fmt::join(host.ipv6_ports, ", ")),
      "write `ipv6: closed`, or `ipv6: open` if that is meant"};
}

void check_names(const std::vector<ConfigResult::NamedInterface>& named, const std::string& what,
                 const HostFacts& host, Faults& faults) {
  std::vector<std::string> names;
  for (const auto& [name, place] : named) names.push_back(name);
  for (const auto& [name, place] : named) {
    if (has_interface(host.interfaces, name)) continue;
    faults.push_back(
        {Severity::warning, place, what, name, interface_remedy(name, host.interfaces, names)});
  }
}

void check_ethernet(const ConfigResult& config, const HostFacts& host, Faults& faults) {
  const auto links = by_name(host.links);
  for (const auto& [name, place] : config.interfaces) {
    const auto found = links.find(name);
    if (found == links.end() || has_ethernet_header(found->second->hardware_type)) continue;
    faults.push_back(
        {Severity::warning, place,
         fmt::format("its frames have no Ethernet header (hardware type {}), so Moat's "
                     "program cannot be on it",
                     found->second->hardware_type),
         name, "take it out: the backstop judges what comes by it"});
  }
}

// An interface goes by several names.
bool is_same_link(const std::string& a, const std::string& b, const HostFacts& host) {
  return a == b || std::ranges::any_of(host.interfaces, [&](const LinkNames& link) {
           const auto has = [&](const auto& name) {
             return std::ranges::find(link.names, name) != link.names.end();
           };
           return has(a) && has(b);
         });
}

void check_trust(const ConfigResult& config, const HostFacts& host, Faults& faults) {
  for (const auto& [name, place] : config.trusted_interfaces) {
    const auto is_guarded = [&](const auto& guarded) {
      return is_same_link(guarded.name, name, host);
    };
    if (std::ranges::none_of(config.interfaces, is_guarded)) continue;
    faults.push_back({Severity::warning, place,
                      "this interface is both guarded and trusted: what Moat's program there lets "
                      "by (a tunnel's packets, say) reaches local sockets without rules",
                      name, "take it out of `trusted-interfaces`"});
  }
}

// Without the backstop.
std::optional<Fault> check_open(const ConfigResult& config, const HostFacts& host) {
  std::vector<std::string> guarded;
  for (const auto& [name, place] : config.interfaces) guarded.push_back(name);
  if (guarded.empty()) return std::nullopt;  // that is told already
  if (const auto& fast_path = config.value->fast_path) guarded.push_back(fast_path->kernel_port);
  const auto open = open_interfaces(host.links, guarded, config.value->trusted_interfaces);
  if (open.empty()) return std::nullopt;
  return Fault{Severity::warning, config.interfaces.front().place,
               "without the backstop, everybody gets in by what is not named here",
               list_interfaces(open),
               "name it here, or write `backstop: true`; if that is meant, name it in "
               "`trusted-interfaces`"};
}

void check_lcores(const ConfigResult& config, const HostFacts& host, Faults& faults) {
  for (const auto& [cpu, place] : config.lcores) {
    const auto holds = [cpu](PortRange range) { return cpu >= range.first && cpu <= range.last; };
    if (host.cpus.empty() || std::ranges::any_of(host.cpus, holds)) continue;
    faults.push_back({Severity::warning, place,
                      "this CPU is not online, so moat-dpdk cannot start and its NIC stays closed",
                      fmt::format("{}", cpu),
                      fmt::format("name one of the CPUs {}", format_ranges(host.cpus))});
  }
}

std::optional<Fault> check_cgroup(const std::string& folder, const Place& place) {
  struct statfs filesystem{};
  if (folder.empty()) return std::nullopt;
  if (::statfs(folder.c_str(), &filesystem) != 0) {
    return Fault{Severity::warning, place,
                 "there is no such folder, and without it the backstop is off", folder,
                 "see `systemd-cgls` for the cgroups there are"};
  }
  if (filesystem.f_type == CGROUP2_SUPER_MAGIC) return std::nullopt;
  return Fault{Severity::warning, place, "no cgroup of version 2, so the backstop is off", folder,
               "name a folder below where cgroup2 is mounted: see `findmnt -t cgroup2`"};
}

}  // namespace

bool takes_only_address(const Endpoint& endpoint, const std::vector<Address>& host_addresses) {
  return endpoint.all && endpoint.address && host_addresses.size() == 1 &&
         host_addresses.front() == *endpoint.address;
}

std::string describe_taken_address(std::string_view database, std::string_view closes) {
  return fmt::format(
      "database {} {} every port of this host's only address, SSH included, to all but its rules",
      database, closes);
}

std::vector<PortRange> parse_port_ranges(std::string_view text) {
  std::vector<PortRange> ranges;
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    const auto item = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    const auto dash = std::min(item.find('-'), item.size());
    const auto first = parse_number<std::uint16_t>(item.substr(0, dash));
    const auto last =
        dash == item.size() ? first : parse_number<std::uint16_t>(item.substr(dash + 1));
    if (first && last) ranges.push_back({*first, *last});
  }
  return ranges;
}

std::vector<Address> host_addresses() {
  const auto own = OwnAddresses::read();
  std::vector<Address> addresses;
  std::ranges::copy_if(own.ipv4(), std::back_inserter(addresses),
                       [](Address address) { return !is_loopback(address); });
  return addresses;
}

std::vector<Address6> host_ipv6_addresses() {
  const auto own = OwnAddresses::read();
  std::vector<Address6> addresses;
  std::ranges::copy_if(own.ipv6(), std::back_inserter(addresses),
                       [](const Address6& address) { return !is_loopback(address); });
  return addresses;
}

bool lets_own_traffic_by(const Config& config, const std::vector<LinkNames>& interfaces) {
  if (!config.backstop) return true;  // the program on NICs never sees it
  return std::ranges::any_of(config.trusted_interfaces, [&](const std::string& trusted) {
    return std::ranges::any_of(interfaces, [&](const LinkNames& link) {
      return link.loopback && std::ranges::find(link.names, trusted) != link.names.end();
    });
  });
}

HostFacts read_host_facts() {
  HostFacts facts;
  // Two numbers with a tab between them.
  auto ephemeral = first_line("/proc/sys/net/ipv4/ip_local_port_range");
  std::ranges::replace(ephemeral, '\t', '-');
  if (const auto ranges = parse_port_ranges(ephemeral); !ranges.empty()) {
    facts.ephemeral = ranges.front();
  }
  facts.cpus = parse_port_ranges(first_line("/sys/devices/system/cpu/online"));
  facts.reserved = parse_port_ranges(first_line("/proc/sys/net/ipv4/ip_local_reserved_ports"));
  facts.addresses = host_addresses();
  if (auto endpoints = mptcp_endpoints_with_port()) facts.mptcp = std::move(*endpoints);
  if (const auto open = listeners()) facts.ipv6_ports = ipv6_ports(*open);
  facts.is_forwarding = first_line("/proc/sys/net/ipv4/ip_forward") == "1";
  facts.links = list_links().value_or(std::vector<LinkPlace>{});
  facts.interfaces = names_of(facts.links);
  return facts;
}

Faults check_on_host(const Endpoint& endpoint, const Place& place, const HostFacts& host,
                     bool is_forced) {
  Faults faults;
  if (auto fault = check_ports(endpoint, place, host)) faults.push_back(std::move(*fault));
  if (auto fault = check_address(endpoint, place, host, is_forced)) {
    faults.push_back(std::move(*fault));
  }
  for (const auto& by : host.mptcp) {
    if (!judges_joins(endpoint, by)) faults.push_back(warn_of_joins(by, place));
  }
  if (auto fault = check_ipv6(endpoint, place, host)) faults.push_back(std::move(*fault));
  if (auto fault = check_forwarding(endpoint, place, host)) faults.push_back(std::move(*fault));
  return faults;
}

Faults check_on_host(const ConfigResult& config, const HostFacts& host) {
  auto faults = find_loopback(config, host.interfaces);
  if (!host.interfaces.empty()) {
    check_names(config.interfaces, "this host has no such interface; it is guarded once it appears",
                host, faults);
    check_names(config.trusted_interfaces,
                "this host has no such interface, so there is nothing to trust", host, faults);
  }
  check_ethernet(config, host, faults);
  check_lcores(config, host, faults);
  if (config.value && config.value->backstop) {
    check_trust(config, host, faults);
    auto fault = check_cgroup(config.value->backstop_cgroup, config.backstop_cgroup_place);
    if (fault) faults.push_back(std::move(*fault));
  } else if (config.value) {
    if (auto fault = check_open(config, host)) faults.push_back(std::move(*fault));
  }
  return faults;
}

Faults find_loopback(const ConfigResult& config, const std::vector<LinkNames>& interfaces) {
  Faults faults;
  for (const auto& [name, place] : config.interfaces) {
    const auto is_it = [&](const LinkNames& link) {
      return link.loopback && std::ranges::find(link.names, name) != link.names.end();
    };
    if (std::ranges::none_of(interfaces, is_it)) continue;
    faults.push_back({Severity::error, place,
                      "this is the loopback interface: it carries the host's connections to "
                      "itself, which would be dropped",
                      name, "take it out: what comes from outside never comes by it"});
  }
  return faults;
}

std::vector<std::string> open_interfaces(const std::vector<LinkPlace>& links,
                                         const std::vector<std::string>& attached,
                                         const std::vector<std::string>& trusted) {
  const auto named = by_name(links);
  std::set<std::uint32_t> seen;
  for (const auto* names : {&attached, &trusted}) {
    for (const auto& name : *names) {
      if (const auto link = named.find(name); link != named.end())
        seen.insert(link->second->ifindex);
    }
  }
  return unseen_links(links, seen);
}

std::string list_interfaces(const std::vector<std::string>& names) { return some_of(names, 3); }

bool has_interface(const std::vector<LinkNames>& interfaces, const std::string& name) {
  return std::ranges::any_of(interfaces, [&](const LinkNames& link) {
    return std::ranges::find(link.names, name) != link.names.end();
  });
}

std::string interface_remedy(const std::string& name, const std::vector<LinkNames>& interfaces,
                             const std::vector<std::string>& named) {
  std::vector<std::string_view> candidates;
  for (const auto& link : interfaces) {
    for (const auto& candidate : link.names) {
      if (std::ranges::find(named, candidate) == named.end()) candidates.emplace_back(candidate);
    }
  }
  const auto near = nearest(name, candidates);
  return near.empty() ? "check the name with `ip link`" : fmt::format("did you mean {}?", near);
}

}  // namespace moat
