/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 13 bits choose a block, the next 4 one of its leaves, which answers by itself unless more than
 * four ranges meet there: two loads and no branch that depends on data. A leaf is two words: a key
 * in lanes 1 to 3 and lane 0 zero, and four classes; or, with lane 0 set, the reference of a packed
 * tree over the last 15 bits. Blocks of one class are stored once.
 *   part[0] u16[2^13] block    part[1] leaves    part[2] trees
 */
#ifndef BENCH_DESIGNS_LEAVES_H
#define BENCH_DESIGNS_LEAVES_H

#include "bench/designs/packed.h"

#define LEAVES_TOP 13
#define LEAVES_KEY_BITS 15

static __always_inline __u32 leaves_class(const __u8* block, __u32 limit, __u32 source) {
  const struct design_header* header = (const struct design_header*)block;
  __u32 number = design_u16(block, limit, header->part[0] + (source >> (32 - LEAVES_TOP)) * 2);
  __u32 below = source & ((1u << (32 - LEAVES_TOP)) - 1);
  __u32 leaf = (number << (32 - LEAVES_TOP) | below) >> LEAVES_KEY_BITS;
  __u32 at = header->part[1] + leaf * 16;
  barrier_var(at);
  if (at > limit - 16) return 0;
  __u64 keys = moat_load_u64(block + at), classes = moat_load_u64(block + at + 8);
  __u32 x = source & ((1u << LEAVES_KEY_BITS) - 1);
  if (keys & 0xffff) return packed_value(block, limit, header->part[2], (__u32)classes, x);
  return moat_lane(classes, moat_rank(keys, x));
}

#endif
