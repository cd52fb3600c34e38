/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Telling of drops, at a rate that no flood can raise. A drop is told if both have an allowance
 * left:
 *
 *   its kind    (owner, reason, monitored), so that a flood against one database hides nothing at
 *               another. One event a jiffy, and MOAT_KIND_BURST at once after a pause.
 *   its source  on this CPU, together with those few that share its place by hash, so that a loud
 *               source hides no lone one. One event in MOAT_SOURCE_PACE jiffies, and
 *               MOAT_SOURCE_BURST of them at once. Who finds another one's mark in the place may
 *               overdraw it, by MOAT_SOURCE_SPARE.
 *
 * The first drop of a kind after MOAT_SOURCE_PACE jiffies is told whatever its source. What can
 * hide a source is a crowd of its own kind: from some hundred loud sources on, chance says who is
 * told of.
 *
 * An allowance is one number, the jiffy up to which events were granted (the generic cell rate
 * algorithm, ITU-T I.371). A crowd meets that of the kind first and goes no further: what it costs
 * there is one comparison with the jiffies, which are free to read. Nothing goes uncounted.
 */
#ifndef MOAT_DROP_EVENTS_H
#define MOAT_DROP_EVENTS_H

#include "bpf/maps.h"
#include "bpf/source_hash.h"
#include "bpf/verdict.h"

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, MOAT_DROP_RING);
} drops SEC(".maps");

/*
 * The jiffy up to which events of a kind were granted, by outcome slot. All CPUs share it: what is
 * written once a jiffy is cheap to read, and two that write at once only tell one event more.
 */
__u64 moat_kind_granted[MOAT_KINDS];

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, MOAT_SOURCES);
  __type(key, __u32);
  __type(value, struct moat_source_allowance);
} drop_sources SEC(".maps");

/*
 * Each including program defines moat_context, where that came in, and how it shows the packet,
 * with moat_room (empty where none is needed) to do so.
 */
static __always_inline __u32 moat_ifindex(moat_context* context);
static __always_inline void moat_show(moat_context* context, moat_room* room,
                                      struct moat_frame* frame);

/* What there is to tell but for the source. */
struct moat_news {
  __u32 slot;
  __u32 bytes;
  __u32 l3;
  __u16 port; /* host byte order */
  __u16 vlan;
  __u8 family;
  __u8 reason;
  __u8 owner;
  __u8 monitored;
};

static __always_inline void moat_read_source(const struct moat_frame* frame,
                                             const struct moat_news* news,
                                             struct moat_source* source) {
  struct moat_source scratch;
  const __u8* p = 0;
  __builtin_memset(source, 0, sizeof *source);
  if (news->family == 4 && frame->source) {
    source->word[0] = frame->source;
  } else if (news->family == 4) {
    p = moat_at(frame, news->l3 + 12, 4, (__u8*)&scratch);
    if (p) source->word[0] = moat_load_u32(p);
  } else if (news->family == 6) {
    p = moat_at(frame, news->l3 + 8, 16, (__u8*)&scratch);
    if (p) __builtin_memcpy(source, p, 16);
  }
}

static __always_inline void moat_put_drop(const struct moat_news* news, __u32 ifindex,
                                          const struct moat_source* source, __u32 packets) {
  struct moat_drop* drop = bpf_ringbuf_reserve(&drops, sizeof *drop, 0);
  if (!drop) {
    moat_count(MOAT_LOST_DROPS_SLOT, 0);
    return;
  }
  drop->time = bpf_ktime_get_ns();
  drop->ifindex = ifindex;
  drop->bytes = news->bytes;
  __builtin_memcpy(drop->source, source, sizeof drop->source);
  drop->port = __builtin_bswap16(news->port);
  drop->vlan = news->vlan;
  drop->family = news->family;
  drop->reason = news->reason;
  drop->owner = news->owner;
  drop->monitored = news->monitored;
  drop->packets = packets;
  drop->reserved = 0;
  bpf_ringbuf_submit(drop, 0);
}

/*
 * The kind has allowance; tells if the source has as well. A function of its own, so that the way
 * of a packet that passes keeps nothing for it, and the verifier looks at it once.
 */
MOAT_FUNCTION int moat_tell_news(moat_context* context, const struct moat_news* news) {
  struct moat_source source;
  if (!news) return 0;
  __u32 kind = news->slot - MOAT_RULE_SLOTS;
  __u64 now = bpf_jiffies64();
  barrier_var(kind);
  if (kind >= MOAT_KINDS) return 0;

  moat_room room;
  struct moat_frame frame = {.length = news->bytes};
  moat_show(context, &room, &frame);
  moat_read_source(&frame, news, &source);
  __u64 hash = moat_hash_source(&source, news->slot);
  __u32 at = moat_source_place(hash), mark = moat_source_mark(hash);
  struct moat_source_allowance* place = bpf_map_lookup_elem(&drop_sources, &at);
  if (!place) return 0;
  __u32 is_same = place->mark == mark;
  __u32 events = MOAT_SOURCE_BURST + (is_same ? 0 : MOAT_SOURCE_SPARE) - 1;
  if (place->granted > now + events * MOAT_SOURCE_PACE &&
      moat_kind_granted[kind] + MOAT_SOURCE_PACE > now) {
    place->suppressed += is_same;
    return 0;
  }

  __u32 packets = 1 + (is_same ? place->suppressed : 0);
  place->granted = (place->granted > now ? place->granted : now) + MOAT_SOURCE_PACE;
  place->mark = mark;
  place->suppressed = 0;
  moat_kind_granted[kind] = (moat_kind_granted[kind] > now ? moat_kind_granted[kind] : now) + 1;
  moat_put_drop(news, moat_ifindex(context), &source, packets);
  return 0;
}

/* Puts a drop, or what would be one but for monitor mode, on the ring if there is allowance. */
static __always_inline void moat_tell(moat_context* context, const struct moat_verdict* v) {
  __u64 now = bpf_jiffies64();
  __u32 kind = v->slot - MOAT_RULE_SLOTS;
  barrier_var(kind);
  if (kind >= MOAT_KINDS || moat_kind_granted[kind] > now + MOAT_KIND_BURST) return;
  struct moat_news news = {
      .slot = v->slot,
      .bytes = v->bytes,
      .l3 = v->l3,
      .port = v->port,
      .vlan = v->vlan,
      .family = v->family,
      .reason = v->reason,
      .owner = v->owner,
      .monitored = v->monitored,
  };
  moat_tell_news(context, &news);
}

#endif /* MOAT_DROP_EVENTS_H */
