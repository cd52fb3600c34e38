// SPDX-License-Identifier: BSD-2-Clause
#include "control/os/loopback.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include "dataplane/number.h"

namespace moat {
namespace {

using Parsed = std::pair<sockaddr_storage, socklen_t>;

constexpr auto form = "write `127.0.0.1:9723` or `\"[::1]:9723\"`";

template <typename Address>
Parsed stored(const Address& address) {
  Parsed parsed{{}, sizeof address};
  std::memcpy(&parsed.first, &address, sizeof address);
  return parsed;
}

}  // namespace

Result<Parsed> parse_loopback(const std::string& text) {
  const auto colon = text.rfind(':');
  const auto port =
      parse_number<std::uint16_t>(colon == std::string::npos ? "" : text.substr(colon + 1));
  if (!port || *port == 0) return std::unexpected(Error{"not an address and a port", form});
  const auto host = text.substr(0, colon);
  sockaddr_in ipv4{};
  sockaddr_in6 ipv6{};
  bool is_loopback = false;
  if (inet_pton(AF_INET, host.c_str(), &ipv4.sin_addr) == 1) {
    ipv4.sin_family = AF_INET;
    ipv4.sin_port = htons(*port);
    is_loopback = ntohl(ipv4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
  } else if (host.starts_with('[') && host.ends_with(']') &&
             inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &ipv6.sin6_addr) == 1) {
    ipv6.sin6_family = AF_INET6;
    ipv6.sin6_port = htons(*port);
    is_loopback = IN6_IS_ADDR_LOOPBACK(&ipv6.sin6_addr);
  } else {
    return std::unexpected(Error{"not an address and a port", form});
  }
  if (!is_loopback) return std::unexpected(Error{"other hosts could reach this address", form});
  return ipv4.sin_family == AF_INET ? stored(ipv4) : stored(ipv6);
}

}  // namespace moat
