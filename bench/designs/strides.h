/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Strides of 16, 8 and 8 bits, leaf-pushed: an entry is a class or a chunk of 256 entries. Equal
 * chunks are stored once.
 *   part[0] u32[65536] root    part[1] u32[256] chunks
 */
#ifndef BENCH_DESIGNS_STRIDES_H
#define BENCH_DESIGNS_STRIDES_H

#include "bench/designs/layout.h"

static __always_inline __u32 strides_class(const __u8* block, __u32 limit, __u32 source) {
  const struct design_header* header = (const struct design_header*)block;
  __u32 entry = design_u32(block, limit, header->part[0] + (source >> 16) * 4);
  if (!(entry & DESIGN_NODE)) return entry;
  __u32 chunk = (entry & ~DESIGN_NODE) * 256 + ((source >> 8) & 255);
  entry = design_u32(block, limit, header->part[1] + chunk * 4);
  if (!(entry & DESIGN_NODE)) return entry;
  chunk = (entry & ~DESIGN_NODE) * 256 + (source & 255);
  return design_u32(block, limit, header->part[1] + chunk * 4);
}

#endif
