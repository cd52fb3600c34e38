/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The maps that the programs share. The tiers are outer maps of one slot; an inner map is an array
 * of one value, the table, which the daemon fills through mmap and then freezes.
 */
#ifndef MOAT_MAPS_H
#define MOAT_MAPS_H

#include <linux/bpf.h>

#include "bpf/abi.h"

#define MOAT_TIER_MAP(name, bytes)            \
  struct name##_inner {                       \
    __uint(type, BPF_MAP_TYPE_ARRAY);         \
    __uint(max_entries, 1);                   \
    __uint(map_flags, BPF_F_MMAPABLE);        \
    __uint(key_size, sizeof(__u32));          \
    __uint(value_size, bytes);                \
  };                                          \
  struct {                                    \
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); \
    __uint(max_entries, 1);                   \
    __uint(key_size, sizeof(__u32));          \
    __array(values, struct name##_inner);     \
  } name SEC(".maps")

MOAT_TIER_MAP(policy_small, MOAT_TIER_SMALL);
MOAT_TIER_MAP(policy_medium, MOAT_TIER_MEDIUM);
MOAT_TIER_MAP(policy_large, MOAT_TIER_LARGE);

/* Nobody reads it while a slot holds a table; that is when it is written. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __uint(key_size, sizeof(__u32));
  __uint(value_size, MOAT_CLOSED_BYTES);
} policy_closed SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, MOAT_COUNTER_SLOTS);
  __type(key, __u32);
  __type(value, struct moat_counter);
} counters SEC(".maps");

/*
 * Looks at one tier, both lookups written out for each: the kernel turns a lookup into a handful of
 * instructions only where one call meets one map, and a call that the tiers share would stay a
 * call. The assembler comment, different for each, keeps the compiler from folding them into one.
 */
#define MOAT_LOOK_AT_TIER(name, bytes)                                    \
  do {                                                                    \
    void* inner = bpf_map_lookup_elem(&name, &zero);                      \
    if (inner) {                                                          \
      const struct moat_table* table = bpf_map_lookup_elem(inner, &zero); \
      asm volatile("# " #name);                                           \
      *limit = (bytes);                                                   \
      return table;                                                       \
    }                                                                     \
  } while (0)

/* The live table and the size of the memory it is in, or null as long as nothing was enforced. */
static __always_inline const struct moat_table* moat_live_table(__u32* limit) {
  __u32 zero = 0;
  const struct moat_table* closed;
  MOAT_LOOK_AT_TIER(policy_small, MOAT_TIER_SMALL);
  MOAT_LOOK_AT_TIER(policy_medium, MOAT_TIER_MEDIUM);
  MOAT_LOOK_AT_TIER(policy_large, MOAT_TIER_LARGE);
  *limit = MOAT_CLOSED_BYTES;
  closed = bpf_map_lookup_elem(&policy_closed, &zero);
  return closed && closed->magic == MOAT_MAGIC ? closed : 0;
}

/* Per-CPU, so a plain add suffices. */
static __always_inline void moat_count(__u32 slot, __u32 bytes) {
  struct moat_counter* counter = bpf_map_lookup_elem(&counters, &slot);
  if (!counter) return;
  counter->packets++;
  counter->bytes += bytes;
}

#endif /* MOAT_MAPS_H */
