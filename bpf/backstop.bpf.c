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

static __always_inline void moat_show(struct __sk_buff* skb, moat_room* room,
                                      struct moat_frame* frame) {
  (void)room;
  frame->data = (const __u8*)(long)skb->data;
  frame->end = (const __u8*)(long)skb->data_end;
  frame->context = skb;
}

static __always_inline __u32 moat_ifindex(struct __sk_buff* skb) { return skb->ifindex; }

// What is read of the kernel's structures; the loader fills in the offsets of the running kernel.
struct sk_buff {
  struct net_device* dev;
} __attribute__((preserve_access_index));
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

// Whether of two verdicts on one packet the second is the one to follow.
static __always_inline bool is_stricter(const struct moat_verdict* second,
                                        const struct moat_verdict* first) {
  if (first->drop) return false;
  if (second->drop || first->reason == MOAT_NOT_GUARDED) return true;
  return moat_is_drop(second->reason) && !moat_is_drop(first->reason);
}

// The verdict on a packet as it is, or as if it were for that port and address (unless 0). A
// function of its own, so that the verifier looks at it once.
MOAT_FUNCTION int moat_judge_skb(struct __sk_buff* skb, __u32 port, __u32 address,
                                 struct moat_verdict* v) {
  __u32 limit;
  moat_room room;
  const struct moat_image* image = moat_live_image(&limit);
  if (!image || !v) return 0;
  struct moat_frame packet = {.length = skb->len, .port = port, .address = address};
  moat_show(skb, &room, &packet);
  moat_judge_packet(image, limit, &packet, bpf_ntohs(skb->protocol), v);
  return 1;
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
  moat_judge_skb(skb, port, address, &second);
  if (is_stricter(&second, v)) *v = second;
}

SEC("cgroup_skb/ingress")
int moat_backstop(struct __sk_buff* skb) {
  __u32 ifindex = skb->ifindex;
  // The host's connections to itself are not judged, and are not to pay for those that are.
  if (ifindex == MOAT_LOOPBACK_IFINDEX) return PASS;
  __u32 flags = moat_interface_flags(skb, ifindex);
  if (flags & MOAT_INTERFACE_TRUSTED) return PASS;
  if (!is_own_namespace(skb)) return PASS;

  struct moat_verdict v = {};
  if (!moat_judge_skb(skb, 0, 0, &v)) return PASS;
  judge_by_listener(skb, &v);
  // What the program on the NIC counted and told is not counted and told again; but that a packet
  // which passed there is dropped here is news.
  if (v.drop || !(flags & MOAT_INTERFACE_XDP)) moat_count_backstop(skb, &v);
  return v.drop ? DROP : PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
