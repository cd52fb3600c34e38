// SPDX-License-Identifier: BSD-2-Clause
#include "control/host_checks.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <string_view>

#include "control/mptcp_joins.h"
#include "dataplane/sessions.h"

namespace moat {
namespace {

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return port;
}

std::string first_line(const char* path) {
  std::string line;
  std::ifstream file(path);
  std::getline(file, line);
  return line;
}

std::vector<Address> host_addresses() {
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(all, freeifaddrs);
  std::vector<Address> addresses;
  for (const auto* each = all; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || each->ifa_addr->sa_family != AF_INET) continue;
    sockaddr_in address{};
    std::memcpy(&address, each->ifa_addr, sizeof(address));
    const Address host_order = ntohl(address.sin_addr.s_addr);
    if (host_order >> 24 != 127) addresses.push_back(host_order);
  }
  std::ranges::sort(addresses);
  addresses.erase(std::ranges::unique(addresses).begin(), addresses.end());
  return addresses;
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

std::optional<Fault> check_ports(const Endpoint& endpoint, const Place& place,
                                 const HostFacts& host) {
  auto reserved = host.reserved;
  std::vector<std::uint16_t> at_risk;
  for (const auto port : endpoint.ports) {
    const auto holds = [port](PortRange range) { return range.contains(port); };
    if (!holds(host.ephemeral) || std::ranges::any_of(reserved, holds)) continue;
    at_risk.push_back(port);
    reserved.push_back({port, port});
  }
  if (at_risk.empty()) return std::nullopt;
  return Fault{
      Severity::warning, place,
      fmt::format("the host may use this port for connections it opens ({} to {}), and replies to "
                  "them would be dropped",
                  host.ephemeral.first, host.ephemeral.last),
      fmt::format("{}", fmt::join(at_risk, ", ")),
      fmt::format("set net.ipv4.ip_local_reserved_ports={}", format_ranges(reserved))};
}

std::optional<Fault> check_address(const Endpoint& endpoint, const Place& place,
                                   const HostFacts& host, bool is_forced) {
  if (!endpoint.address) return std::nullopt;
  const auto shown = format_address(*endpoint.address);
  if (std::ranges::find(host.addresses, *endpoint.address) == host.addresses.end()) {
    std::vector<std::string> known;
    known.reserve(host.addresses.size());
    for (const auto address : host.addresses) known.push_back(format_address(address));
    return Fault{Severity::warning, place, "no interface of this host has this address", shown,
                 known.empty() ? "behind NAT, name the private address"
                               : fmt::format("behind NAT, name the private address; here are {}",
                                             fmt::join(known, ", "))};
  }
  if (!endpoint.all || host.addresses.size() > 1) return std::nullopt;
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

}  // namespace

std::vector<PortRange> parse_port_ranges(std::string_view text) {
  std::vector<PortRange> ranges;
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    const auto item = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    const auto dash = std::min(item.find('-'), item.size());
    const auto first = parse_port(item.substr(0, dash));
    const auto last = dash == item.size() ? first : parse_port(item.substr(dash + 1));
    if (first && last) ranges.push_back({*first, *last});
  }
  return ranges;
}

HostFacts read_host_facts() {
  HostFacts facts;
  // Two numbers with a tab between them.
  auto ephemeral = first_line("/proc/sys/net/ipv4/ip_local_port_range");
  std::ranges::replace(ephemeral, '\t', '-');
  if (const auto ranges = parse_port_ranges(ephemeral); !ranges.empty()) {
    facts.ephemeral = ranges.front();
  }
  facts.reserved = parse_port_ranges(first_line("/proc/sys/net/ipv4/ip_local_reserved_ports"));
  facts.addresses = host_addresses();
  if (auto endpoints = mptcp_endpoints_with_port()) facts.mptcp = std::move(*endpoints);
  if (const auto open = listeners()) facts.ipv6_ports = ipv6_ports(*open);
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
  return faults;
}

}  // namespace moat
