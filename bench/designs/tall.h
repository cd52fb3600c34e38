/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 9 + 15 + 8 bits: under each /9 one packed tree over its /24s, whose values are classes or, for a
 * /24 that is divided, the number of a leaf over the last 8 bits. Most prefixes end at a /24, so
 * there are few leaves; and no block of 256 entries stands between, so small policies stay within
 * the nearest cache. Where four ranges are not enough for a leaf, it holds a tree instead: its
 * first key, always 0 otherwise, says so. part[0] {u32 class or tree, u32 first leaf}[512] part[1]
 * trees    part[2] leaves of 16 bytes
 */
#ifndef BENCH_DESIGNS_TALL_H
#define BENCH_DESIGNS_TALL_H

#include "bench/designs/packed.h"

#define TALL_LEAF 0x8000u /* in a value: the number of a leaf of this /9 */

static __always_inline __u32 tall_class(const __u8* block, __u32 limit, __u32 source) {
  const struct design_header* header = (const struct design_header*)block;
  __u64 entry = design_u64(block, limit, header->part[0] + (source >> 23) * 8);
  if (!((__u32)entry & DESIGN_NODE)) return (__u32)entry;
  __u32 value = packed_value(block, limit, header->part[1], (__u32)entry, (source >> 8) & 0x7fff);
  if (!(value & TALL_LEAF)) return value;

  __u32 leaf = header->part[2] + ((__u32)(entry >> 32) + (value & ~TALL_LEAF)) * 16;
  __u64 keys = design_u64(block, limit, leaf);
  if (keys & 0xffff)
    return packed_value(block, limit, header->part[1], design_u32(block, limit, leaf + 8),
                        source & 255);
  return design_u16(block, limit, leaf + 6 + moat_rank(keys, source & 255) * 2);
}

#endif
