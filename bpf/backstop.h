/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two programs of the backstop share: backstop.bpf.c at sockets, input.bpf.c before. */
#ifndef MOAT_BACKSTOP_H
#define MOAT_BACKSTOP_H

#include "bpf/drops.h"
#include "bpf/maps.h"
#include "bpf/verdict.h"

/* The number of `lo` in every network namespace: a constant of the kernel's. */
#define MOAT_LOOPBACK_IFINDEX 1

/* What is known of an interface of the daemon's network namespace: MOAT_INTERFACE_* by ifindex. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, MOAT_MAX_INTERFACES);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, __u32);
  __type(value, __u32);
} interfaces SEC(".maps");

static __always_inline __u32 moat_interface_flags(__u32 ifindex) {
  const __u32* flags = bpf_map_lookup_elem(&interfaces, &ifindex);
  return flags ? *flags : 0;
}

/* Counts what the rest of the host would not know of: allowed, or dropped by the backstop. */
static __always_inline void moat_count_backstop(moat_context* context, struct moat_verdict* v) {
  if (moat_is_drop(v->reason)) {
    v->reason = MOAT_BACKSTOP;
    v->slot = MOAT_OUTCOME_SLOT(v->owner, v->monitored, MOAT_BACKSTOP);
    moat_count(v->slot, v->bytes);
    moat_tell(context, v);
  } else if (v->reason == MOAT_ALLOWED) {
    moat_count(v->slot, v->bytes);
  }
}

#endif /* MOAT_BACKSTOP_H */
