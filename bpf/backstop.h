/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two programs of the backstop share: backstop.bpf.c at sockets, input.bpf.c before. */
#ifndef MOAT_BACKSTOP_H
#define MOAT_BACKSTOP_H

#include <bpf/bpf_core_read.h>

#include "bpf/drops.h"
#include "bpf/maps.h"
#include "bpf/verdict.h"

/* The number of `lo` in every network namespace: a constant of the kernel's. */
#define MOAT_LOOPBACK_IFINDEX 1

/* Set before loading: whether this kernel lets the program read its memory (no under lockdown). */
const volatile __u8 can_read_kernel = 1;

/* What is known of the interfaces of the daemon's network namespace, by ifindex. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, MOAT_MAX_INTERFACES);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, __u32);
  __type(value, struct moat_interface);
} interfaces SEC(".maps");

/* Of the kernel's; the loader fills in the offset that the running one has. */
struct net_device {
  int ifindex;
  char name[16];
} __attribute__((preserve_access_index));

/* Each including program defines where a packet came in. */
static __always_inline const struct net_device* moat_device(moat_context* context);

/* As text: what was there before a renaming may stand behind its end. */
static __always_inline int moat_is_named(const struct net_device* device, const char* name) {
  __u32 now[4] = {};
  const void* from = (const void*)device + bpf_core_field_offset(struct net_device, name);
  if (bpf_probe_read_kernel_str(now, sizeof now, from) < 0) return 0;
  return now[0] == moat_load_u32(name) && now[1] == moat_load_u32(name + 4) &&
         now[2] == moat_load_u32(name + 8) && now[3] == moat_load_u32(name + 12);
}

/* MOAT_INTERFACE_*. Only trust is worth asking for the name: without, a packet is counted twice. */
static __always_inline __u32 moat_interface_flags(moat_context* context, __u32 ifindex) {
  const struct moat_interface* known = bpf_map_lookup_elem(&interfaces, &ifindex);
  if (!known) return 0;
  if (known->flags & MOAT_INTERFACE_TRUSTED && can_read_kernel &&
      !moat_is_named(moat_device(context), known->name))
    return 0;
  return known->flags;
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
