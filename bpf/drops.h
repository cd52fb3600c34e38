/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Telling of drops, at a rate that a flood cannot raise. Each (owner, reason, monitored) has an
 * allowance of its own on each CPU, so that a flood against one database does not hide a lone drop
 * at another: one event a jiffy, and MOAT_DROP_BURST at once after a pause. The allowance is one
 * number, the jiffy up to which events were granted (the generic cell rate algorithm, ITU-T I.371);
 * jiffies cost nothing to read. What is not told is counted all the same.
 */
#ifndef MOAT_DROPS_H
#define MOAT_DROPS_H

#include "bpf/maps.h"
#include "bpf/verdict.h"

#define MOAT_DROP_BURST 64 /* jiffies */

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, MOAT_DROP_RING);
} drops SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, MOAT_COUNTER_SLOTS - MOAT_RULE_SLOTS);
  __type(key, __u32);
  __type(value, __u64);
} drop_allowances SEC(".maps");

static __always_inline int moat_may_tell(__u32 slot) {
  __u32 at = slot - MOAT_RULE_SLOTS;
  __u64* granted = bpf_map_lookup_elem(&drop_allowances, &at);
  __u64 now = bpf_jiffies64();
  if (!granted || *granted > now + MOAT_DROP_BURST) return 0;
  *granted = (*granted > now ? *granted : now) + 1;
  return 1;
}

/* Puts a drop, or what would be one but for monitor mode, on the ring if there is allowance. */
static __always_inline void moat_tell(const struct moat_frame* frame, const struct moat_verdict* v,
                                      __u32 ifindex) {
  __u8 scratch[16];
  if (!moat_may_tell(v->slot)) return;
  struct moat_drop* drop = bpf_ringbuf_reserve(&drops, sizeof *drop, 0);
  if (!drop) {
    moat_count(MOAT_LOST_DROPS_SLOT, 0);
    return;
  }
  __builtin_memset(drop, 0, sizeof *drop);
  drop->time = bpf_ktime_get_ns();
  drop->ifindex = ifindex;
  drop->bytes = v->bytes;
  drop->port = __builtin_bswap16(v->port);
  drop->vlan = v->vlan;
  drop->family = v->family;
  drop->reason = v->reason;
  drop->owner = v->owner;
  drop->monitored = v->monitored;
  if (v->family == 4) {
    const __u8* source = moat_at(frame, v->l3 + 12, 4, scratch);
    if (source) __builtin_memcpy(drop->source, source, 4);
  } else if (v->family == 6) {
    const __u8* source = moat_at(frame, v->l3 + 8, 16, scratch);
    if (source) __builtin_memcpy(drop->source, source, 16);
  }
  bpf_ringbuf_submit(drop, 0);
}

#endif /* MOAT_DROPS_H */
