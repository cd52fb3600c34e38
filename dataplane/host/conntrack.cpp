// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/host/conntrack.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include <fstream>
#include <optional>
#include <utility>

#include "dataplane/host/netlink_socket.h"
#include "dataplane/host/own_addresses.h"

namespace moat {
namespace {

constexpr auto listing_connections = "list connections that NAT has changed";

// Asked first, as a request would load the modules. 0 as well where there is none.
unsigned tracked_connections() {
  unsigned count = 0;
  std::ifstream("/proc/sys/net/netfilter/nf_conntrack_count") >> count;
  return count;
}

// One direction of a connection.
struct Tuple {
  bool tcp = false;
  bool ipv6 = false;
  Address source{}, destination{};
  Address6 source6{}, destination6{};
  std::uint16_t source_port = 0, destination_port = 0;
};

void read_addresses(const nlattr* nest, Tuple& tuple) {
  for_each_nested(nest, [&](const nlattr* attribute) {
    const auto copy = [&](Address6& to) {
      const auto address = address6_of(attribute);
      if (!address) return;
      tuple.ipv6 = true;
      to = *address;
    };
    switch (mnl_attr_get_type(attribute)) {
      case CTA_IP_V4_SRC:
        tuple.source = address_of(attribute);
        break;
      case CTA_IP_V4_DST:
        tuple.destination = address_of(attribute);
        break;
      case CTA_IP_V6_SRC:
        copy(tuple.source6);
        break;
      case CTA_IP_V6_DST:
        copy(tuple.destination6);
        break;
      default:
        break;
    }
  });
}

void read_ports(const nlattr* nest, Tuple& tuple) {
  for_each_nested(nest, [&](const nlattr* attribute) {
    switch (mnl_attr_get_type(attribute)) {
      case CTA_PROTO_NUM:
        tuple.tcp = mnl_attr_get_u8(attribute) == IPPROTO_TCP;
        break;
      case CTA_PROTO_SRC_PORT:
        tuple.source_port = ntohs(mnl_attr_get_u16(attribute));
        break;
      case CTA_PROTO_DST_PORT:
        tuple.destination_port = ntohs(mnl_attr_get_u16(attribute));
        break;
      default:
        break;
    }
  });
}

Tuple read_tuple(const nlattr* nest) {
  Tuple tuple;
  for_each_nested(nest, [&](const nlattr* attribute) {
    if (mnl_attr_get_type(attribute) == CTA_TUPLE_IP) read_addresses(attribute, tuple);
    if (mnl_attr_get_type(attribute) == CTA_TUPLE_PROTO) read_ports(attribute, tuple);
  });
  return tuple;
}

// The session at the side that was called, of the direction towards it.
Session called_by(const Tuple& to, const OwnAddresses& own) {
  Session session;
  session.ipv6 = to.ipv6;
  session.local = to.destination;
  session.local_ipv6 = to.destination6;
  session.local_port = to.destination_port;
  session.peer = to.source;
  session.peer_ipv6 = to.source6;
  session.peer_port = to.source_port;
  session.own = to.ipv6 ? own.contains(to.source6) : own.contains(to.source);
  return session;
}

Tuple turned(Tuple tuple) {
  std::swap(tuple.source, tuple.destination);
  std::swap(tuple.source6, tuple.destination6);
  std::swap(tuple.source_port, tuple.destination_port);
  return tuple;
}

void append(const nlattr* attribute, std::vector<char>& name) {
  const auto* bytes = reinterpret_cast<const char*>(attribute);
  name.insert(name.end(), bytes, bytes + MNL_ALIGN(attribute->nla_len));
}

// Nothing of what is not TCP, or that NAT has left as it was.
std::optional<Translation> read_translation(const nlmsghdr* message, const OwnAddresses& own) {
  Tuple there;
  Tuple back;
  std::uint32_t status = 0;
  Translation found;
  for_each_attribute<nfgenmsg>(message, [&](const nlattr* attribute) {
    switch (mnl_attr_get_type(attribute)) {
      case CTA_TUPLE_ORIG:
        there = read_tuple(attribute);
        append(attribute, found.name);
        break;
      case CTA_TUPLE_REPLY:
        back = read_tuple(attribute);
        break;
      case CTA_STATUS:
        status = ntohl(mnl_attr_get_u32(attribute));
        break;
      case CTA_ZONE:
      case CTA_ID:
        append(attribute, found.name);
        break;
      default:
        break;
    }
  });
  if (!there.tcp || (status & IPS_NAT_MASK) == 0) return std::nullopt;
  found.wire = called_by(there, own);
  found.translated = called_by(turned(back), own);
  const bool is_local = back.ipv6 ? own.contains(back.source6) : own.contains(back.source);
  found.forwarded = !is_local && (status & IPS_DST_NAT) != 0;
  return found;
}

using Request = NetlinkRequest<nfgenmsg>;

Request make_request(int type, int flags, std::uint8_t family, std::size_t room) {
  Request request(NFNL_SUBSYS_CTNETLINK << 8 | type, flags, room);
  request->nfgen_family = family;
  request->version = NFNETLINK_V0;
  return request;
}

// Those whose status, of the bits in `mask`, has `bits`: the kernel leaves out the others.
int dump(NetlinkSocket& socket, std::uint32_t bits, std::uint32_t mask,
         const NetlinkSocket::Visit& visit) {
  Request request = make_request(IPCTNL_MSG_CT_GET, NLM_F_DUMP, AF_UNSPEC, 64);
  mnl_attr_put_u32(request.message(), CTA_STATUS, htonl(bits));
  mnl_attr_put_u32(request.message(), CTA_STATUS_MASK, htonl(mask));
  return socket.ask(request.message(), visit);
}

}  // namespace

Result<std::vector<Translation>> translations(
    const std::function<bool(const Translation&)>& concerns) {
  std::vector<Translation> found;
  if (tracked_connections() == 0) return found;
  auto socket = NetlinkSocket::open(NETLINK_NETFILTER, listing_connections);
  if (!socket) return std::unexpected(socket.error());
  const auto own = OwnAddresses::read();
  const auto visit = [&](const nlmsghdr* message) {
    if (header_of<nfgenmsg>(message) == nullptr) return;
    auto translation = read_translation(message, own);
    if (!translation || !concerns(*translation)) return;
    if (!translation->forwarded) translation->name = {};
    found.push_back(std::move(*translation));
  };
  int cause = dump(*socket, IPS_DST_NAT, IPS_DST_NAT, visit);
  if (cause == 0) cause = dump(*socket, IPS_SRC_NAT, IPS_NAT_MASK, visit);
  if (cause == EINVAL || cause == EOPNOTSUPP) {
    return failed(listing_connections, cause, "load the kernel module nf_conntrack_netlink");
  }
  if (cause != 0) return failed(listing_connections, cause, "needs CAP_NET_ADMIN");
  return found;
}

Result<std::vector<const Translation*>> forget(
    const std::vector<const Translation*>& translations) {
  constexpr auto what = "end a connection that NAT has changed";
  std::vector<const Translation*> forgotten;
  if (translations.empty()) return forgotten;
  auto socket = NetlinkSocket::open(NETLINK_NETFILTER, what);
  if (!socket) return std::unexpected(socket.error());
  for (const auto* translation : translations) {
    Request request =
        make_request(IPCTNL_MSG_CT_DELETE, NLM_F_ACK, translation->wire.ipv6 ? AF_INET6 : AF_INET,
                     translation->name.size());
    request.append(translation->name);
    const int cause = socket->ask(request.message(), [](const nlmsghdr*) {});
    if (cause == 0) forgotten.push_back(translation);
    if (cause != 0 && cause != ENOENT) return failed(what, cause, "needs CAP_NET_ADMIN");
  }
  return forgotten;
}

}  // namespace moat
