/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ranges under a direct root (DXR; Zec, Rizzo, Mikuc, 2012) of 18 bits. A root entry is a class, or
 * the place of 2^k sorted ranges: bits 27..30 k, bits 0..26 the first one. Filled up with ranges
 * that begin nowhere, so that the search takes k steps without a branch that depends on data.
 *   part[0] u32[2^18] root    part[1] {u16 first, u16 class}[] ranges
 */
#ifndef BENCH_DESIGNS_DXR_H
#define BENCH_DESIGNS_DXR_H

#include "bench/designs/layout.h"

#define DXR_BITS 18
#define DXR_STEPS_SHIFT 27
#define DXR_PLACE_MASK ((1u << DXR_STEPS_SHIFT) - 1)
#define DXR_MAX_STEPS 14

static __always_inline __u32 dxr_class(const __u8* block, __u32 limit, __u32 source) {
  const struct design_header* header = (const struct design_header*)block;
  __u32 entry = design_u32(block, limit, header->part[0] + (source >> (32 - DXR_BITS)) * 4);
  if (!(entry & DESIGN_NODE)) return entry;
  __u32 x = source & ((1u << (32 - DXR_BITS)) - 1);
  __u32 ranges = header->part[1] + (entry & DXR_PLACE_MASK) * 4;
  __u32 step = (1u << ((entry & ~DESIGN_NODE) >> DXR_STEPS_SHIFT)) >> 1;
  for (__u32 i = 0; i < DXR_MAX_STEPS && step; i++) {
    __u32 first = design_u16(block, limit, ranges + step * 4);
    __u32 is_after = (x - first) >> 31; /* 1 where the range begins after x */
    ranges += (step * 4) & (is_after - 1);
    step >>= 1;
  }
  return design_u16(block, limit, ranges + 2);
}

#endif
