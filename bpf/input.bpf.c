// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// The backstop before sockets: where what came in is known to be for this host, in netfilter's
// LOCAL_IN hook. A packet that no socket receives never meets the program at sockets, and is
// answered all the same: with a refusal where nothing listens, by a socket in TIME_WAIT, by an nft
// rule that rejects.
//
// What it lets by, the program at sockets judges again and counts, and that one alone knows the
// listener that TPROXY or an sk_lookup program steered a packet to. It goes by the note that this
// one leaves (wire.h). What came by a NIC with an XDP program that has not counted it, as NAT has
// redirected it since or it came behind that program, this one counts.
//
// Linux 6.4 and later, one network namespace: that of whoever attached it.
#include <linux/bpf.h>

#include "bpf/note.h"

extern int bpf_dynptr_from_skb(struct sk_buff* skb, __u64 flags, struct bpf_dynptr* bytes) __ksym;

typedef struct bpf_nf_ctx moat_context;
typedef struct bpf_dynptr moat_room;
#define MOAT_FETCH_ALL
#define MOAT_CLOCK bpf_ktime_get_ns  // programs of this kind have no coarse one
#include "bpf/backstop.h"

// Set before loading: whether this program leaves it to the one at sockets to judge.
const volatile __u8 takes_notes_only = 0;

#define ACCEPT 1
#define DROP 0
#define TIME_WAIT 6      // enum tcp_state
#define NEW_SYN_RECV 12  // likewise

static __always_inline long moat_fetch(void* context, __u32 offset, void* to, __u32 bytes) {
  return bpf_dynptr_read(to, bytes, context, offset, 0);
}

static __always_inline void moat_measure(struct moat_frame* frame) { (void)frame; }

// Of a packet that cannot be shown nothing can be fetched: it is malformed.
static __always_inline void moat_show(struct bpf_nf_ctx* ctx, moat_room* room,
                                      struct moat_frame* frame) {
  bpf_dynptr_from_skb(ctx->skb, 0, room);
  frame->context = room;
}

static __always_inline __u32 moat_ifindex(struct bpf_nf_ctx* ctx) {
  return (__u32)ctx->state->in->ifindex;
}
static __always_inline __u32 moat_length(struct bpf_nf_ctx* ctx) { return ctx->skb->len; }
static __always_inline __u32 moat_ethertype(struct bpf_nf_ctx* ctx) {
  return bpf_ntohs(ctx->skb->protocol);
}

static __always_inline const struct net_device* moat_device(struct bpf_nf_ctx* ctx) {
  return ctx->state->in;
}

// Whether the kernel has found a socket already that the program at sockets will judge the packet
// for: that of an established connection, or a listener that TPROXY chose. Half a socket has no
// such program.
static __always_inline int has_socket(const struct sk_buff* skb) {
  const struct sock* sk = skb->sk;
  if (!sk) return 0;
  unsigned char state = sk->__sk_common.skc_state;
  return state != TIME_WAIT && state != NEW_SYN_RECV;
}

SEC("netfilter")
int moat_input(struct bpf_nf_ctx* ctx) {
  __u32 ifindex = moat_ifindex(ctx);
  struct moat_wire* wire = moat_note_wire(ctx->skb);
  if (!wire || takes_notes_only || has_socket(ctx->skb)) return ACCEPT;
  // What the host sends to itself only the program at sockets can tell from what was led to lo.
  if (ifindex == MOAT_LOOPBACK_IFINDEX) return ACCEPT;
  __u32 flags = moat_interface_flags(ctx, ifindex);
  if (moat_is_trusted(flags, wire)) return ACCEPT;

  __u8 on_wire;
  struct moat_verdict v = {};
  if (!moat_judge(ctx, wire, &v, &on_wire)) return ACCEPT;
  wire->is_counted = flags & MOAT_INTERFACE_XDP && moat_is_news(&v, on_wire, flags, wire);
  if (v.drop || wire->is_counted) moat_count_backstop(ctx, &v);
  return v.drop ? DROP : ACCEPT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
