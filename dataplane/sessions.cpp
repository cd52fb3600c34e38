// SPDX-License-Identifier: BSD-2-Clause
// One dump of the kernel's sockets a family, with a filter on the local port that runs in the
// kernel: a host may have a hundred thousand sockets of which a dozen are a database's.
#include "dataplane/sessions.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

#include "dataplane/netlink_socket.h"

namespace moat {
namespace {

constexpr std::uint32_t state_bit(int state) { return 1u << state; }
constexpr std::uint32_t listening = state_bit(TCP_LISTEN);
// 12 is TCP_NEW_SYN_RECV, a handshake that has no socket of its own yet; user space headers do not
// name it.
constexpr std::uint32_t connected = state_bit(TCP_ESTABLISHED) | state_bit(TCP_SYN_RECV) |
                                    state_bit(TCP_FIN_WAIT1) | state_bit(TCP_FIN_WAIT2) |
                                    state_bit(TCP_CLOSE_WAIT) | state_bit(TCP_LAST_ACK) |
                                    state_bit(TCP_CLOSING) | state_bit(12);
// Nobody's session any more, but what is left of one answers its peer's packets, for a minute, and
// no program is asked.
constexpr std::uint32_t remains = state_bit(TCP_TIME_WAIT);

// What it takes to name a socket to the kernel.
struct Handle {
  std::uint8_t family = 0;
  inet_diag_sockid id{};
};

struct Found {
  Handle handle;
  Session session;
  bool is_remains = false;
};

// The addresses of this host's interfaces.
struct OwnAddresses {
  std::set<std::uint32_t> ipv4;  // host byte order
  std::set<Address6> ipv6;
};

OwnAddresses own_addresses() {
  OwnAddresses own;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return own;  // loopback is known without
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    if (entry->ifa_addr->sa_family == AF_INET) {
      own.ipv4.insert(ntohl(reinterpret_cast<sockaddr_in*>(entry->ifa_addr)->sin_addr.s_addr));
    } else if (entry->ifa_addr->sa_family == AF_INET6) {
      Address6 address;
      std::memcpy(address.data(), &reinterpret_cast<sockaddr_in6*>(entry->ifa_addr)->sin6_addr,
                  address.size());
      own.ipv6.insert(address);
    }
  }
  freeifaddrs(list);
  return own;
}

bool is_loopback(std::uint32_t address) { return address >> 24 == 127; }

Session describe(const inet_diag_msg& message, const OwnAddresses& own) {
  Session session;
  const auto& id = message.id;
  session.local_port = ntohs(id.idiag_sport);
  session.peer_port = ntohs(id.idiag_dport);
  session.ifindex = id.idiag_if;
  in6_addr source;
  in6_addr peer;
  std::memcpy(&source, id.idiag_src, sizeof source);
  std::memcpy(&peer, id.idiag_dst, sizeof peer);
  const bool is_mapped = IN6_IS_ADDR_V4MAPPED(&source) || IN6_IS_ADDR_V4MAPPED(&peer);
  if (message.idiag_family == AF_INET || is_mapped) {
    const int word = message.idiag_family == AF_INET ? 0 : 3;
    session.local = ntohl(id.idiag_src[word]);
    session.peer = ntohl(id.idiag_dst[word]);
    session.loopback = is_loopback(session.local);
    session.own = is_loopback(session.peer) || own.ipv4.contains(session.peer);
    return session;
  }
  session.ipv6 = true;
  session.loopback = IN6_IS_ADDR_LOOPBACK(&source);
  std::memcpy(session.local_ipv6.data(), &source, session.local_ipv6.size());
  std::memcpy(session.peer_ipv6.data(), &peer, session.peer_ipv6.size());
  session.own = IN6_IS_ADDR_LOOPBACK(&peer) || own.ipv6.contains(session.peer_ipv6);
  return session;
}

// A filter program: accepts a socket whose local port is one of `ports`. Each port takes
//
//   S_EQ  yes: go on   no: to the next port
//   (port)
//   JMP   to the end, which accepts
//
// and the last "no" goes 4 bytes beyond the end, which rejects.
std::vector<inet_diag_bc_op> port_filter(const std::vector<std::uint16_t>& ports) {
  constexpr unsigned op = sizeof(inet_diag_bc_op);
  std::vector<inet_diag_bc_op> program;
  for (std::size_t i = 0; i < ports.size(); i++) {
    const auto rest = static_cast<unsigned short>((ports.size() - i) * 3 * op);
    const bool is_last = i + 1 == ports.size();
    const auto miss = static_cast<unsigned short>(is_last ? rest + op : 3 * op);
    program.push_back({INET_DIAG_BC_S_EQ, 2 * op, miss});
    program.push_back({0, 0, ports[i]});
    program.push_back({INET_DIAG_BC_JMP, op, static_cast<unsigned short>(rest - 2 * op)});
  }
  return program;
}

Result<> dump(mnl_socket* socket, int family, std::uint32_t states, const LocalPorts& ports,
              const OwnAddresses& own, std::vector<Found>& found) {
  // The filter takes 12 bytes a port; a host has at most a thousand guarded ones.
  const auto filter = ports ? port_filter(*ports) : std::vector<inet_diag_bc_op>{};
  std::vector<char> buffer(4096 + filter.size() * sizeof(inet_diag_bc_op));
  nlmsghdr* header = mnl_nlmsg_put_header(buffer.data());
  header->nlmsg_type = SOCK_DIAG_BY_FAMILY;
  header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  header->nlmsg_seq = static_cast<unsigned>(family);
  auto* request =
      static_cast<inet_diag_req_v2*>(mnl_nlmsg_put_extra_header(header, sizeof(inet_diag_req_v2)));
  request->sdiag_family = static_cast<std::uint8_t>(family);
  request->sdiag_protocol = IPPROTO_TCP;
  request->idiag_states = states;
  if (!filter.empty()) {
    mnl_attr_put(header, INET_DIAG_REQ_BYTECODE, filter.size() * sizeof filter[0], filter.data());
  }
  const int cause = ask(socket, header, [&](const nlmsghdr* message) {
    if (mnl_nlmsg_get_payload_len(message) < sizeof(inet_diag_msg)) return;
    const auto& socket_info = *static_cast<const inet_diag_msg*>(mnl_nlmsg_get_payload(message));
    auto session = describe(socket_info, own);
    for_each_attribute(message, sizeof(inet_diag_msg), [&](const nlattr* attribute) {
      if (mnl_attr_get_type(attribute) != INET_DIAG_SKV6ONLY) return;
      session.ipv4_too =
          session.ipv6 && session.local_ipv6 == Address6{} && mnl_attr_get_u8(attribute) == 0;
    });
    found.push_back({{socket_info.idiag_family, socket_info.id},
                     session,
                     (state_bit(socket_info.idiag_state) & remains) != 0});
  });
  if (cause != 0) return netlink_error("list TCP sockets", cause);
  return {};
}

Result<NetlinkSocket> open_diag() {
  return open_netlink(NETLINK_SOCK_DIAG, 0, 0, "open a socket for sock_diag");
}

Result<std::vector<Found>> dump_both(mnl_socket* socket, std::uint32_t states,
                                     const LocalPorts& ports) {
  std::vector<Found> found;
  if (ports && ports->empty()) return found;
  const auto own = own_addresses();
  for (const int family : {AF_INET, AF_INET6}) {
    if (auto done = dump(socket, family, states, ports, own, found); !done) {
      return std::unexpected(done.error());
    }
  }
  return found;
}

Result<std::vector<Session>> sessions(std::uint32_t states, const LocalPorts& ports) {
  auto socket = open_diag();
  if (!socket) return std::unexpected(socket.error());
  auto found = dump_both(socket->get(), states, ports);
  if (!found) return std::unexpected(found.error());
  std::vector<Session> out;
  out.reserve(found->size());
  for (const auto& entry : *found) out.push_back(entry.session);
  return out;
}

// 0 or the kernel's errno.
int destroy(mnl_socket* socket, const Handle& handle, unsigned sequence) {
  std::array<char, 512> buffer{};
  nlmsghdr* header = mnl_nlmsg_put_header(buffer.data());
  header->nlmsg_type = SOCK_DESTROY;
  header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  header->nlmsg_seq = sequence;
  auto* request =
      static_cast<inet_diag_req_v2*>(mnl_nlmsg_put_extra_header(header, sizeof(inet_diag_req_v2)));
  request->sdiag_family = handle.family;
  request->sdiag_protocol = IPPROTO_TCP;
  request->idiag_states = ~0u;
  request->id = handle.id;
  return ask(socket, header, [](const nlmsghdr*) {});
}

}  // namespace

Result<std::vector<Session>> connected_sessions(const LocalPorts& ports) {
  return sessions(connected, ports);
}

Result<std::vector<Session>> listeners() { return sessions(listening, std::nullopt); }

Result<unsigned> destroy_sessions(const LocalPorts& ports,
                                  const std::function<bool(const Session&)>& allowed) {
  auto socket = open_diag();
  if (!socket) return std::unexpected(socket.error());
  const auto found = dump_both(socket->get(), connected | remains, ports);
  if (!found) return std::unexpected(found.error());
  unsigned ended = 0;
  unsigned sequence = 0x10000;
  int failure = 0;
  for (const auto& [handle, session, is_remains] : *found) {
    if (allowed(session)) continue;
    const int cause = destroy(socket->get(), handle, sequence++);
    if (cause == 0 && !is_remains) ended++;
    // ENOENT: it went by itself meanwhile. Remains can be ended since kernel 6.5.
    const bool can_wait = cause == ENOENT || (is_remains && cause == EOPNOTSUPP);
    if (cause != 0 && !can_wait) failure = cause;
  }
  if (failure != 0) {
    return netlink_error("end sessions that are no longer allowed", failure,
                         failure == EOPNOTSUPP ? "needs a kernel with CONFIG_INET_DIAG_DESTROY"
                                               : "needs CAP_NET_ADMIN");
  }
  return ended;
}

}  // namespace moat
