// SPDX-License-Identifier: BSD-2-Clause
#include "control/policy/endpoint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace moat {
namespace {

// The ports of `endpoint` for which `guarded` says `wanted`.
std::optional<Endpoint> select(const Endpoint& endpoint, const Endpoint& guarded, bool wanted) {
  Endpoint result{endpoint.address, {}, false};
  for (const auto port : endpoint.ports) {
    if ((guarded.all || names_port(guarded, port)) == wanted) result.ports.push_back(port);
  }
  if (result.ports.empty()) return std::nullopt;
  return result;
}

}  // namespace

bool guards_ipv6(const Endpoint& endpoint, std::uint16_t port) {
  return names_port(endpoint, port) || endpoint.ipv6 == Ipv6::closed;
}

std::optional<Endpoint> intersect(const Endpoint& a, const Endpoint& b) {
  if (a.address != b.address) return std::nullopt;
  if (a.all) return b;
  return select(a, b, true);
}

bool covers(const Endpoint& endpoint, const Endpoint& part) {
  if (endpoint.address != part.address) return false;
  if (endpoint.all || part.all) return endpoint.all;
  return !select(part, endpoint, false);
}

std::optional<Endpoint> subtract(const Endpoint& endpoint, const Endpoint& guarded) {
  const auto common = intersect(endpoint, guarded);
  if (!common) return endpoint;
  if (endpoint.all || guarded.all) return std::nullopt;
  return select(endpoint, guarded, false);
}

std::vector<std::uint16_t> ports_taken(const Endpoint& endpoint, const Endpoint& other) {
  if (!endpoint.address || other.address) return {};
  auto ports = other.ports;
  std::erase_if(ports, [&](auto port) { return !endpoint.all && !names_port(endpoint, port); });
  return ports;
}

std::string format_endpoint(const Endpoint& endpoint) {
  auto text = endpoint.all ? std::string("every port")
              : endpoint.ports.size() == 1
                  ? fmt::format("port {}", endpoint.ports[0])
                  : fmt::format("ports {}", fmt::join(endpoint.ports, ", "));
  if (endpoint.address) text += " of " + format_address(*endpoint.address);
  if (endpoint.ipv6) text += *endpoint.ipv6 == Ipv6::closed ? ", IPv6 closed" : ", IPv6 open";
  return text;
}

}  // namespace moat
