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

// What is read of the kernel's structures; the loader fills in the offsets of the running kernel.
struct net {
  __u64 net_cookie;
} __attribute__((preserve_access_index));
struct sock_common {
  struct {
    struct net* net;
  } skc_net;
} __attribute__((preserve_access_index));
struct sock {
  struct sock_common __sk_common;
} __attribute__((preserve_access_index));
struct inet_sock {
  struct sock sk;
} __attribute__((preserve_access_index));
struct inet_connection_sock {
  struct inet_sock icsk_inet;
} __attribute__((preserve_access_index));
struct tcp_sock {
  struct inet_connection_sock inet_conn;
} __attribute__((preserve_access_index));

// The context that the kernel hands in is its sk_buff.
static __always_inline const struct net_device* moat_device(struct __sk_buff* skb) {
  const struct net_device* device = 0;
  bpf_probe_read_kernel(&device, sizeof device,
                        (const void*)skb + bpf_core_field_offset(struct sk_buff, dev));
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

// TPROXY or an sk_lookup program may hand a connection to a listener on another port or address
// than the one it asks for: what guards either of them has a say. Only the listener tells: the
// socket of a connection that was let in has the packet's.
static __always_inline void judge_by_listener(struct __sk_buff* skb, struct moat_verdict* v) {
  const struct bpf_sock* sk = skb->sk;
  if (v->drop || !sk || sk->state != BPF_TCP_LISTEN) return;
  __u32 port = sk->src_port, address = sk->src_ip4;
  if (port == v->port && !address) return;
  struct moat_verdict second = {};
  moat_judge_as(skb, port, address, &second);
  if (moat_is_stricter(&second, v)) *v = second;
}

SEC("cgroup_skb/ingress")
int moat_backstop(struct __sk_buff* skb) {
  __u32 ifindex = skb->ifindex;
  // The host's connections to itself are not judged, and are not to pay for those that are.
  if (ifindex == MOAT_LOOPBACK_IFINDEX) return PASS;
  __u32 flags = moat_interface_flags(skb, ifindex);
  if (flags & MOAT_INTERFACE_TRUSTED) return PASS;
  if (!is_own_namespace(skb)) return PASS;

  __u8 on_wire;
  struct moat_verdict v = {};
  struct moat_wire* wire = wire_of(skb);
  if (!moat_judge(skb, wire, &v, &on_wire)) return PASS;
  judge_by_listener(skb, &v);
  // What others counted and told is not counted and told again; but that a packet which passed
  // there is dropped here is news.
  int is_counted = wire && wire->is_counted && !v.drop;
  if (!is_counted && moat_is_news(&v, on_wire, flags, wire)) moat_count_backstop(skb, &v);
  if (wire) wire->packet = 0;  // or another packet that comes to be there could be taken for it
  return v.drop ? DROP : PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
