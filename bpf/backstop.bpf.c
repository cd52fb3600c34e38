// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// The backstop: the same verdict again, where a packet reaches a local socket. XDP sees one NIC; a
// tunnel, a second NIC, a bridge or DNAT bring packets to a guarded port by other ways, and all of
// them end here, reassembled and decapsulated, established connections included.
//
// It judges the sockets of one network namespace, the daemon's: another namespace has addresses and
// interface numbers of its own, which this policy says nothing about.
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

typedef struct __sk_buff moat_context;
typedef struct {
} moat_room;
#include "bpf/backstop.h"

#define PASS 1
#define DROP 0
#define TCP_RESET 0x04

// Set before loading.
const volatile __u64 own_netns_cookie = 0;
// Kernels before 6.15 have no bpf_get_netns_cookie() for this kind of program.
const volatile __u8 has_netns_cookie_helper = 1;

static __always_inline long moat_fetch(void* context, __u32 offset, void* to, __u32 bytes) {
  return bpf_skb_load_bytes_relative(context, offset, to, bytes, BPF_HDR_START_NET);
}

static __always_inline void moat_measure(struct moat_frame* frame) { (void)frame; }

// What was noted of this packet, if anything was.
static __always_inline struct moat_wire* wire_of(struct __sk_buff* skb) {
  __u32 zero = 0;
  struct moat_wire* wire = bpf_map_lookup_elem(&wires, &zero);
  return wire && wire->packet == (__u64)(long)skb ? wire : 0;  // the context is the sk_buff
}

static __always_inline void moat_show(struct __sk_buff* skb, moat_room* room,
                                      struct moat_frame* frame) {
  (void)room;
  frame->data = (const __u8*)(long)skb->data;
  frame->end = (const __u8*)(long)skb->data_end;
  frame->context = skb;
  const struct moat_wire* wire = wire_of(skb);
  if (wire) frame->source = wire->source;
}

static __always_inline __u32 moat_ifindex(struct __sk_buff* skb) { return skb->ifindex; }
static __always_inline __u32 moat_length(struct __sk_buff* skb) { return skb->len; }
static __always_inline __u32 moat_ethertype(struct __sk_buff* skb) {
  return bpf_ntohs(skb->protocol);
}

// Reads a field of the kernel's sk_buff, which the context is.
#define read_skb(to, skb, field)           \
  bpf_probe_read_kernel(&(to), sizeof(to), \
                        (const void*)(skb) + bpf_core_field_offset(struct sk_buff, field))

static __always_inline const struct net_device* moat_device(struct __sk_buff* skb) {
  const struct net_device* device = 0;
  read_skb(device, skb, dev);
  return device;
}

// Whether the receiving socket is in the daemon's network namespace. Where a kernel gives no way to
// tell (before 6.15, and the socket is not TCP), it is taken to be.
static __always_inline bool is_own_namespace(struct __sk_buff* skb) {
  if (has_netns_cookie_helper) return bpf_get_netns_cookie(skb) == own_netns_cookie;
  struct bpf_sock* sk = skb->sk;
  if (!sk) return true;
  struct tcp_sock* tcp = bpf_skc_to_tcp_sock(sk);
  if (!tcp) return true;
  return tcp->inet_conn.icsk_inet.sk.__sk_common.skc_net.net->net_cookie == own_netns_cookie;
}

static __always_inline bool is_for_tcp(struct __sk_buff* skb) {
  struct bpf_sock* sk = skb->sk;
  if (sk) sk = bpf_sk_fullsock(sk);
  return sk && sk->protocol == MOAT_IP_TCP;
}

// Reads `bytes` of TCP's header, from `at` on. It is where the kernel found it, which the IP header
// need not tell.
static __always_inline bool read_tcp(struct __sk_buff* skb, __u32 at, void* to, __u32 bytes) {
  __u16 network = 0, transport = 0;
  if (!can_read_kernel) return false;
  read_skb(network, skb, network_header);
  read_skb(transport, skb, transport_header);
  return moat_fetch(skb, (__u16)(transport - network) + at, to, bytes) == 0;
}

// Whether a TCP socket receives what the IP header says is something else: from TCP in UDP (fou,
// gue) the kernel takes off the UDP header, and hands the rest to TCP behind the same IP header.
static __always_inline bool is_hidden(struct __sk_buff* skb, const struct moat_verdict* v) {
  if (v->port || (v->reason != MOAT_NOT_GUARDED && v->reason != MOAT_EXEMPT)) return false;
  const __u8* ip = (const __u8*)(long)skb->data;
  if (v->family == 4 && ip + 10 <= (const __u8*)(long)skb->data_end && ip[9] == MOAT_IP_TCP)
    return false;
  return is_for_tcp(skb);
}

// By the port in TCP's own header, or where that cannot be read, by the socket's.
static __always_inline void judge_hidden(struct __sk_buff* skb, struct moat_verdict* v) {
  const struct bpf_sock* sk = skb->sk;
  struct moat_verdict second = {};
  __be16 in_header = 0;
  __u32 port = sk ? sk->src_port : 0;
  if (read_tcp(skb, 2, &in_header, sizeof in_header)) port = bpf_ntohs(in_header);
  moat_judge_as(skb, port, 0, 1, &second);
  if (moat_is_stricter(&second, v)) *v = second;
}

// TPROXY or an sk_lookup program may hand a connection to a listener on another port or address
// than the one it asks for: what guards either of them has a say. Only the listener tells: the
// socket of a connection that was let in has the packet's.
static __always_inline void judge_by_listener(struct __sk_buff* skb, bool as_tcp,
                                              struct moat_verdict* v) {
  const struct bpf_sock* sk = skb->sk;
  if (v->drop || !sk || sk->state != BPF_TCP_LISTEN) return;
  __u32 port = sk->src_port, address = sk->src_ip4;
  if (port == v->port && !address) return;
  struct moat_verdict second = {};
  moat_judge_as(skb, port, address, as_tcp, &second);
  if (moat_is_stricter(&second, v)) *v = second;
}

// The addresses, from the IP header, which is in the first buffer.
static __always_inline bool read_ends(struct __sk_buff* skb, bool is_ipv4, struct moat_ends* ends) {
  const __u8* ip = (const __u8*)(long)skb->data;
  const __u8* end = (const __u8*)(long)skb->data_end;
  if (is_ipv4 && ip + 20 <= end) {
    ends->source[0] = moat_load_u32(ip + 12);
    ends->destination[0] = moat_load_u32(ip + 16);
    return true;
  }
  if (is_ipv4 || ip + 40 > end) return false;
  __builtin_memcpy(ends->source, ip + 8, 16);
  __builtin_memcpy(ends->destination, ip + 24, 16);
  return true;
}

// From 127/8, from ::1, or from the very address that it is for.
static __always_inline bool is_from_same_host(const struct moat_ends* ends, bool is_ipv4) {
  const __be32 *source = ends->source, *to = ends->destination;
  if (is_ipv4 && (source[0] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000)) return true;
  if (!(source[0] | source[1] | source[2]) && source[3] == bpf_htonl(1)) return true;
  return source[0] == to[0] && source[1] == to[1] && source[2] == to[2] && source[3] == to[3];
}

// Whether a socket of this host is at the other end: one that could have sent the packet.
static __always_inline bool has_sender(struct __sk_buff* skb, const struct moat_ends* ends,
                                       bool is_ipv4) {
  struct bpf_sock_tuple back = {};
  __u32 bytes = sizeof back.ipv6;
  if (is_ipv4) {
    bytes = sizeof back.ipv4;
    back.ipv4.saddr = ends->destination[0];
    back.ipv4.daddr = ends->source[0];
    back.ipv4.sport = ends->destination_port;
    back.ipv4.dport = ends->source_port;
  } else {
    __builtin_memcpy(back.ipv6.saddr, ends->destination, 16);
    __builtin_memcpy(back.ipv6.daddr, ends->source, 16);
    back.ipv6.sport = ends->destination_port;
    back.ipv6.dport = ends->source_port;
  }
  struct bpf_sock* sender = bpf_skc_lookup_tcp(skb, &back, bytes, BPF_F_CURRENT_NETNS, 0);
  if (!sender) return false;
  bool is_connected = sender->state != BPF_TCP_LISTEN;
  bpf_sk_release(sender);
  return is_connected;
}

// Whether the host itself has sent the packet that came by lo. Packets from outside come by lo,
// too: by an MPLS route that leads there, as copies that nft's dup or TEE make for an address of
// the host, by tc's mirred. What is not TCP is taken to be the host's, as no lookup tells exactly
// who sent it. So is a reset: the kernel sends one for a socket that is gone by then, and nothing
// answers it.
MOAT_FUNCTION int moat_is_from_itself(struct __sk_buff* skb) {
  struct moat_ends ends = {};
  bool is_ipv4 = skb->protocol == bpf_htons(MOAT_ETH_IPV4);
  // Without that, what NAT did to the host's own packets cannot be undone.
  if (!can_read_kernel) return 1;
  const struct moat_wire* wire = wire_of(skb);
  bool is_known = wire && wire->has_ends;
  if (is_known)
    __builtin_memcpy(&ends, &wire->ends, sizeof ends);
  else if (!read_ends(skb, is_ipv4, &ends))
    return 0;
  if (is_from_same_host(&ends, is_ipv4) || !is_for_tcp(skb)) return 1;
  __u8 flags = 0;
  if (!read_tcp(skb, 13, &flags, 1)) return 0;
  if (flags & TCP_RESET) return 1;
  if (!is_known && !read_tcp(skb, 0, &ends.source_port, 4)) return 0;
  return has_sender(skb, &ends, is_ipv4);
}

// Whether the packet is not to be judged by the way it came.
static __always_inline bool is_exempt(struct __sk_buff* skb, __u32 flags) {
  if (skb->ifindex == MOAT_LOOPBACK_IFINDEX) return moat_is_from_itself(skb);
  return flags & MOAT_INTERFACE_TRUSTED && moat_is_trusted(flags, wire_of(skb));
}

SEC("cgroup_skb/ingress")
int moat_backstop(struct __sk_buff* skb) {
  __u32 ifindex = skb->ifindex;
  __u32 flags = ifindex == MOAT_LOOPBACK_IFINDEX ? 0 : moat_interface_flags(skb, ifindex);
  if (is_exempt(skb, flags) || !is_own_namespace(skb)) return PASS;

  __u8 on_wire;
  struct moat_verdict v = {};
  struct moat_wire* wire = wire_of(skb);
  if (!moat_judge(skb, wire, &v, &on_wire)) return PASS;
  bool hidden = is_hidden(skb, &v);
  if (hidden) judge_hidden(skb, &v);
  judge_by_listener(skb, hidden, &v);
  // What others counted and told is not counted and told again; but that a packet which passed
  // there is dropped here is news.
  int is_counted = wire && wire->is_counted && !v.drop;
  if (!is_counted && moat_is_news(&v, on_wire, flags, wire)) moat_count_backstop(skb, &v);
  if (wire) wire->packet = 0;  // or another packet that comes to be there could be taken for it
  return v.drop ? DROP : PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
