/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 9 + 8 + 15 bits, the last by packed trees as the product has them; a /17 of one class has a tree
 * as well, one for all that are equal, so that no branch asks whether the walk ends at the block.
 *   part[0] u32[512] class or block    part[1] u32[256] blocks    part[2] trees
 */
#ifndef BENCH_DESIGNS_EVEN_H
#define BENCH_DESIGNS_EVEN_H

#include "bench/designs/packed.h"

static __always_inline __u32 even_class(const __u8* block, __u32 limit, __u32 source) {
  const struct design_header* header = (const struct design_header*)block;
  __u32 entry = design_u32(block, limit, header->part[0] + (source >> 23) * 4);
  if (!(entry & DESIGN_NODE)) return entry;
  __u32 below = (entry & ~DESIGN_NODE) * 256 + ((source >> 15) & 255);
  entry = design_u32(block, limit, header->part[1] + below * 4);
  return packed_value(block, limit, header->part[2], entry, source & 0x7fff);
}

#endif
