/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One step less, wider: 17 bits at once, then a chunk of one or more cache lines: 16 keys, then 16
 * classes. More than 16 ranges have inner nodes of 16 keys (the first key of each child) above. A
 * /17 of one class has a chunk too, one for all that are equal.
 *   part[0] u32[2^17] depth << 28 | place of the chunk in units of 32 bytes    part[1] chunks
 */
#ifndef BENCH_DESIGNS_WIDE_H
#define BENCH_DESIGNS_WIDE_H

#include "bench/designs/layout.h"

#define WIDE_ONES 0x0001000100010001ull
#define WIDE_TOPS 0x8000800080008000ull
#define WIDE_NO_KEY 0x8000u
#define WIDE_MAX_DEPTH 3

/* How many of the 16 keys at `at` are at most x. Four lanes a word, as in bpf/lookup.h. */
static __always_inline __u32 wide_rank(const __u8* block, __u32 limit, __u32 at, __u32 x) {
  __u64 spread = (__u64)x * WIDE_ONES | WIDE_TOPS, count = 0;
  barrier_var(at);
  if (at > limit - 32) return 1;
  count += (spread - moat_load_u64(block + at)) >> 15 & WIDE_ONES;
  count += (spread - moat_load_u64(block + at + 8)) >> 15 & WIDE_ONES;
  count += (spread - moat_load_u64(block + at + 16)) >> 15 & WIDE_ONES;
  count += (spread - moat_load_u64(block + at + 24)) >> 15 & WIDE_ONES;
  return (__u32)((count * WIDE_ONES) >> 48);
}

static __always_inline __u32 wide_class(const __u8* block, __u32 limit, __u32 source) {
  const struct design_header* header = (const struct design_header*)block;
  __u32 entry = design_u32(block, limit, header->part[0] + (source >> 15) * 4);
  __u32 x = source & 0x7fff, at = header->part[1] + (entry & 0x0fffffff) * 32;
  __u32 first = at, node = 0, width = 1; /* of this level */
  for (__u32 depth = entry >> 28, i = 0; i < WIDE_MAX_DEPTH && i < depth; i++) {
    node = node * 16 + wide_rank(block, limit, at, x) - 1;
    first += width * 32;
    width *= 16;
    at = first + node * (i + 1 == depth ? 64 : 32);
  }
  return design_u16(block, limit, at + 30 + wide_rank(block, limit, at, x) * 2);
}

#endif
