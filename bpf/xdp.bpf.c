// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// The XDP program: read the live table once, judge the frame, count, tell of a drop, return.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

typedef struct xdp_md moat_context;
typedef struct {
} moat_room;
#include "bpf/drop_events.h"
#include "bpf/maps.h"
#include "bpf/verdict.h"

static __always_inline long moat_fetch(void* context, __u32 offset, void* to, __u32 bytes) {
  return bpf_xdp_load_bytes(context, offset, to, bytes);
}

static __always_inline void moat_measure(struct moat_frame* frame) {
  frame->length = (__u32)bpf_xdp_get_buff_len(frame->context);
}

static __always_inline void moat_show(struct xdp_md* ctx, moat_room* room,
                                      struct moat_frame* frame) {
  (void)room;
  frame->data = (const __u8*)(long)ctx->data;
  frame->end = (const __u8*)(long)ctx->data_end;
  frame->context = ctx;
}

static __always_inline __u32 moat_ifindex(struct xdp_md* ctx) { return ctx->ingress_ifindex; }

_Static_assert(XDP_PASS - 1 == XDP_DROP, "what is returned below");

SEC("xdp.frags")
int moat_xdp(struct xdp_md* ctx) {
  __u32 limit;
  const struct moat_table* table = moat_live_table(&limit);
  if (!table) return XDP_PASS; /* attached before the first commit: nothing is guarded yet */

  struct moat_verdict v;
  struct moat_frame frame = {
      .data = (const __u8*)(long)ctx->data,
      .end = (const __u8*)(long)ctx->data_end,
      .context = ctx,
  };
  moat_judge_frame(table, limit, &frame, &v);
  moat_count(v.slot, v.bytes);
  if (v.drop | v.monitored) moat_tell(ctx, &v);
  return XDP_PASS - v.drop;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
