/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two programs of the backstop share: backstop.bpf.c at sockets, input.bpf.c before. */
#ifndef MOAT_BACKSTOP_H
#define MOAT_BACKSTOP_H

#include "bpf/drop_events.h"
#include "bpf/kernel.h"
#include "bpf/maps.h"
#include "bpf/verdict.h"
#include "bpf/wire.h"

/* What is known of the interfaces of the daemon's network namespace, by ifindex. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, MOAT_MAX_INTERFACES);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, __u32);
  __type(value, struct moat_interface);
} interfaces SEC(".maps");

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

/* Whether what came by the interface is not judged. What tc redirected to it came by another one.
 */
static __always_inline int moat_is_trusted(__u32 flags, const struct moat_wire* wire) {
  return flags & MOAT_INTERFACE_TRUSTED && !(wire && wire->is_redirected_by_tc);
}

/* Each including program defines what else it knows of its context. */
static __always_inline __u32 moat_length(moat_context* context);
static __always_inline __u32 moat_ethertype(moat_context* context);

/*
 * The verdict on a packet as it is, or as if it were for that port and address (unless 0), and if
 * asked for, as TCP whatever its header says. A function of its own, so that the verifier looks at
 * it once. 0 while nothing is enforced.
 */
MOAT_FUNCTION int moat_judge_as(moat_context* context, __u32 port, __u32 address, __u32 is_tcp,
                                struct moat_verdict* v) {
  __u32 limit;
  moat_room room;
  const struct moat_table* table = moat_live_table(&limit);
  if (!table || !v) return 0;
  struct moat_frame packet = {
      .length = moat_length(context), .port = port, .address = address, .is_tcp = is_tcp != 0};
  moat_show(context, &room, &packet);
  moat_judge_packet(table, limit, &packet, moat_ethertype(context), v);
  return 1;
}

/* Whether of two verdicts on one packet the second is the one to follow. */
static __always_inline int moat_is_stricter(const struct moat_verdict* second,
                                            const struct moat_verdict* first) {
  if (first->drop) return 0;
  if (second->drop || first->reason == MOAT_NOT_GUARDED) return 1;
  return moat_is_drop(second->reason) && !moat_is_drop(first->reason);
}

/*
 * The verdict on a packet as it is now, and if NAT has redirected it, as it was on the wire: what
 * guards either has a say. *on_wire is the reason that a program on the NIC had found. 0 while
 * nothing is enforced.
 */
static __always_inline int moat_judge(moat_context* context, const struct moat_wire* wire,
                                      struct moat_verdict* v, __u8* on_wire) {
  if (!moat_judge_as(context, 0, 0, 0, v)) return 0;
  *on_wire = v->reason;
  if (!wire || !wire->is_redirected) return 1;
  struct moat_verdict second = {};
  moat_judge_as(context, wire->port, wire->address, 0, &second);
  *on_wire = second.reason;
  if (moat_is_stricter(&second, v)) *v = second;
  return 1;
}

/* Whether the program on the NIC, where there is one, has not counted the like. */
static __always_inline int moat_is_news(const struct moat_verdict* v, __u8 on_wire, __u32 flags,
                                        const struct moat_wire* wire) {
  if (!(flags & MOAT_INTERFACE_XDP) || (wire && wire->is_unseen)) return 1;
  if (on_wire == MOAT_NOT_GUARDED) return 1;
  return v->drop || (moat_is_drop(v->reason) && !moat_is_drop(on_wire));
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
