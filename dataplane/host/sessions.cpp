// SPDX-License-Identifier: BSD-2-Clause
// One dump of the kernel's sockets a family, with a filter on the local port that runs in the
// kernel: a host may have a hundred thousand sockets of which a dozen are a database's.
#include "dataplane/host/sessions.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/mptcp.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>
#include <map>

#include "dataplane/host/netlink_socket.h"
#include "dataplane/host/own_addresses.h"

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
// Answers its peer's packets, and no program is asked.
constexpr std::uint32_t remains = state_bit(TCP_TIME_WAIT);

// What it takes to name a socket to the kernel.
struct Handle {
  std::uint8_t family = 0;
  inet_diag_sockid id{};
};

struct Found {
  Handle handle;
  Session session;
  std::uint32_t token = 0;  // of the MPTCP session that it is, or is part of; 0: of none
};

Session describe(const inet_diag_msg& message, const OwnAddresses& own) {
  Session session;
  const auto& id = message.id;
  session.local_port = ntohs(id.idiag_sport);
  session.peer_port = ntohs(id.idiag_dport);
  session.ifindex = id.idiag_if;
  session.cookie = std::uint64_t{id.idiag_cookie[1]} << 32 | id.idiag_cookie[0];
  session.inode = message.idiag_inode;
  session.time_wait = (state_bit(message.idiag_state) & remains) != 0;
  const auto local = std::bit_cast<Address6>(id.idiag_src);
  const auto peer = std::bit_cast<Address6>(id.idiag_dst);
  const bool is_mapped = mapped_ipv4(local) || mapped_ipv4(peer);
  if (message.idiag_family == AF_INET || is_mapped) {
    const int word = message.idiag_family == AF_INET ? 0 : 3;
    session.local = Address::from_network(id.idiag_src[word]);
    session.peer = Address::from_network(id.idiag_dst[word]);
    session.loopback = is_loopback(session.local);
    session.own = own.contains(session.peer);
    return session;
  }
  session.ipv6 = true;
  session.local_ipv6 = local;
  session.peer_ipv6 = peer;
  session.loopback = is_loopback(local);
  session.own = own.contains(peer);
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

// INET_DIAG_ULP_INFO of a subflow, in which the kernel names the MPTCP session that it belongs to.
std::uint32_t token_of_subflow(const nlattr* ulp) {
  std::uint32_t token = 0;
  for_each_nested(ulp, [&](const nlattr* about) {
    if (mnl_attr_get_type(about) != INET_ULP_INFO_MPTCP) return;
    for_each_nested(about, [&](const nlattr* attribute) {
      if (mnl_attr_get_type(attribute) == MPTCP_SUBFLOW_ATTR_TOKEN_LOC) {
        token = mnl_attr_get_u32(attribute);
      }
    });
  });
  return token;
}

// INET_DIAG_INFO of an MPTCP socket; newer kernels write more of it.
std::uint32_t token_of_session(const nlattr* information) {
  constexpr auto at = offsetof(mptcp_info, mptcpi_token);
  std::uint32_t token = 0;
  if (mnl_attr_get_payload_len(information) < at + sizeof token) return 0;
  std::memcpy(&token, static_cast<const char*>(mnl_attr_get_payload(information)) + at,
              sizeof token);
  return token;
}

// INET_DIAG_INFO of a TCP socket; newer kernels write more of it.
std::optional<std::chrono::milliseconds> idle_of(const nlattr* information) {
  constexpr auto at = offsetof(tcp_info, tcpi_last_data_recv);
  std::uint32_t idle = 0;
  if (mnl_attr_get_payload_len(information) < at + sizeof idle) return std::nullopt;
  std::memcpy(&idle, static_cast<const char*>(mnl_attr_get_payload(information)) + at, sizeof idle);
  return std::chrono::milliseconds(idle);
}

Found read_socket(const nlmsghdr* message, const inet_diag_msg& about, int protocol,
                  const OwnAddresses& own) {
  Found found{{about.idiag_family, about.id}, describe(about, own)};
  auto& session = found.session;
  for_each_attribute<inet_diag_msg>(message, [&](const nlattr* attribute) {
    switch (mnl_attr_get_type(attribute)) {
      case INET_DIAG_SKV6ONLY:
        session.ipv4_too =
            session.ipv6 && session.local_ipv6 == Address6{} && mnl_attr_get_u8(attribute) == 0;
        break;
      case INET_DIAG_CGROUP_ID:
        session.cgroup = mnl_attr_get_u64(attribute);
        break;
      case INET_DIAG_ULP_INFO:
        found.token = token_of_subflow(attribute);
        break;
      case INET_DIAG_INFO:
        if (protocol == IPPROTO_MPTCP) {
          found.token = token_of_session(attribute);
        } else {
          session.idle = idle_of(attribute);
        }
        break;
      default:
        break;
    }
  });
  return found;
}

// What to list.
struct Query {
  std::uint32_t states;
  LocalPorts ports;
  int protocol = IPPROTO_TCP;
  bool with_info = false;  // tokens and how long they are idle; the kernel gives a lot else with it
};

using Request = NetlinkRequest<inet_diag_req_v2>;

// 0 or the kernel's errno.
int dump(NetlinkSocket& socket, int family, const Query& query, const OwnAddresses& own,
         std::vector<Found>& found) {
  // The filter takes 12 bytes a port; a host has at most a thousand guarded ones.
  const auto filter = query.ports ? port_filter(*query.ports) : std::vector<inet_diag_bc_op>{};
  Request request(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, 64 + filter.size() * sizeof filter[0]);
  request->sdiag_family = static_cast<std::uint8_t>(family);
  request->sdiag_protocol = static_cast<std::uint8_t>(query.protocol);
  request->idiag_states = query.states;
  if (query.with_info) request->idiag_ext = 1u << (INET_DIAG_INFO - 1);
  if (query.protocol == IPPROTO_MPTCP) {  // too large for its field
    mnl_attr_put_u32(request.message(), INET_DIAG_REQ_PROTOCOL, IPPROTO_MPTCP);
  }
  if (!filter.empty()) {
    mnl_attr_put(request.message(), INET_DIAG_REQ_BYTECODE, filter.size() * sizeof filter[0],
                 filter.data());
  }
  return socket.ask(request.message(), [&](const nlmsghdr* message) {
    if (const auto* about = header_of<inet_diag_msg>(message))
      found.push_back(read_socket(message, *about, query.protocol, own));
  });
}

Result<NetlinkSocket> open_diag() {
  return NetlinkSocket::open(NETLINK_SOCK_DIAG, "open a socket for sock_diag");
}

Result<std::vector<Found>> dump_both(NetlinkSocket& socket, const Query& query,
                                     const OwnAddresses& own) {
  std::vector<Found> found;
  if (query.ports && query.ports->empty()) return found;
  for (const int family : {AF_INET, AF_INET6}) {
    if (const int cause = dump(socket, family, query, own, found); cause != 0) {
      if (query.protocol == IPPROTO_MPTCP && cause == ENOENT) return found;  // this kernel has none
      return failed("list TCP sockets", cause);
    }
  }
  return found;
}

// What MPTCP sessions that began on `ports` have on other ones, each described as if it were where
// the session began: the port by which a database is guarded is that, whichever the kernel offered
// for more of it.
Result<> add_subflows(NetlinkSocket& socket, const LocalPorts& ports, const OwnAddresses& own,
                      std::vector<Found>& found) {
  // Without MPTCP the question would load a module in vain.
  if (!ports || access("/proc/sys/net/mptcp", F_OK) != 0) return {};
  const auto begun = dump_both(socket, {connected, ports, IPPROTO_MPTCP, true}, own);
  if (!begun) return std::unexpected(begun.error());
  std::map<std::uint32_t, const Session*> sessions;
  for (const auto& entry : *begun) {
    if (entry.token != 0) sessions.emplace(entry.token, &entry.session);
  }
  if (sessions.empty()) return {};
  auto all = dump_both(socket, {connected, std::nullopt, IPPROTO_TCP, true}, own);
  if (!all) return std::unexpected(all.error());
  for (auto& entry : *all) {
    const auto session = sessions.find(entry.token);
    if (session == sessions.end()) continue;
    if (std::ranges::find(*ports, entry.session.local_port) != ports->end()) continue;
    entry.session.local = session->second->local;
    entry.session.local_ipv6 = session->second->local_ipv6;
    entry.session.local_port = session->second->local_port;
    found.push_back(entry);
  }
  return {};
}

Result<std::vector<Session>> sessions(const Query& query) {
  auto socket = open_diag();
  if (!socket) return std::unexpected(socket.error());
  auto found = dump_both(*socket, query, OwnAddresses::read());
  if (!found) return std::unexpected(found.error());
  std::vector<Session> out;
  out.reserve(found->size());
  for (const auto& entry : *found) out.push_back(entry.session);
  return out;
}

// 0 or the kernel's errno.
int destroy(NetlinkSocket& socket, const Handle& handle) {
  Request request(SOCK_DESTROY, NLM_F_ACK);
  request->sdiag_family = handle.family;
  request->sdiag_protocol = IPPROTO_TCP;
  request->idiag_states = ~0u;
  request->id = handle.id;
  return socket.ask(request.message(), [](const nlmsghdr*) {});
}

std::string format(bool is_ipv6, Address ipv4, const Address6& ipv6) {
  return is_ipv6 ? format_address(ipv6) : format_address(ipv4);
}

}  // namespace

std::string format_peer(const Session& session) {
  return format(session.ipv6, session.peer, session.peer_ipv6);
}

std::string format_local(const Session& session) {
  return format(session.ipv6, session.local, session.local_ipv6);
}

Result<std::vector<Session>> connected_sessions(const LocalPorts& ports, bool with_idle) {
  return sessions({connected, ports, IPPROTO_TCP, with_idle});
}

Result<std::vector<Session>> listeners() { return sessions({listening, std::nullopt}); }

std::vector<std::uint16_t> ipv6_ports(const std::vector<Session>& listeners) {
  std::set<std::uint16_t> ports;
  for (const auto& listener : listeners) {
    if (listener.ipv6 && !listener.loopback) ports.insert(listener.local_port);
  }
  return {ports.begin(), ports.end()};
}

Result<unsigned> destroy_sessions(const LocalPorts& ports,
                                  const std::function<bool(const Session&)>& allowed) {
  auto socket = open_diag();
  if (!socket) return std::unexpected(socket.error());
  const auto own = OwnAddresses::read();
  auto found = dump_both(*socket, {connected | remains, ports}, own);
  if (!found) return std::unexpected(found.error());
  if (auto added = add_subflows(*socket, ports, own, *found); !added) {
    return std::unexpected(added.error());
  }
  unsigned ended = 0;
  int failure = 0;
  for (const auto& [handle, session, token] : *found) {
    if (allowed(session)) continue;
    const int cause = destroy(*socket, handle);
    if (cause == 0 && !session.time_wait) ended++;
    // ENOENT: it went by itself meanwhile. Remains can be ended since kernel 6.5.
    const bool can_wait = cause == ENOENT || (session.time_wait && cause == EOPNOTSUPP);
    if (cause != 0 && !can_wait) failure = cause;
  }
  if (failure != 0) {
    return failed("end sessions that are no longer allowed", failure,
                  failure == EOPNOTSUPP ? "needs a kernel with CONFIG_INET_DIAG_DESTROY"
                                        : "needs CAP_NET_ADMIN");
  }
  return ended;
}

}  // namespace moat
