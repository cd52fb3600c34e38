/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All ranges in one sorted list, searched in as many steps as its length has bits, without a branch
 * that depends on data. For small policies.
 *   part[0] u32[2^part[2]] first addresses, filled up with 0xffffffff    part[1] u16[] classes
 */
#ifndef BENCH_DESIGNS_SORTED_H
#define BENCH_DESIGNS_SORTED_H

#include "bench/designs/layout.h"

#define SORTED_MAX_STEPS 12

static __always_inline __u32 sorted_class(const __u8* block, __u32 limit, __u32 source) {
  const struct design_header* header = (const struct design_header*)block;
  __u32 place = 0, step = (1u << (header->part[2] & 15)) >> 1;
  for (__u32 i = 0; i < SORTED_MAX_STEPS && step; i++) {
    __u64 first = design_u32(block, limit, header->part[0] + (place + step) * 4);
    __u32 is_after = (__u32)((source - first) >> 63);
    place += step & (is_after - 1);
    step >>= 1;
  }
  return design_u16(block, limit, header->part[1] + place * 2);
}

#endif
