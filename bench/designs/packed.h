/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The product's packed B+-tree (see bpf/lookup.h), in a block of the designs. A
 * reference is DESIGN_NODE | depth << 28 | place in units of 16 bytes from `base`.
 */
#ifndef BENCH_DESIGNS_PACKED_H
#define BENCH_DESIGNS_PACKED_H

#include "bench/designs/layout.h"
#include "bpf/lookup.h"

/* The value of the range that holds x. */
static __always_inline __u32 packed_value(const __u8* block, __u32 limit, __u32 base,
                                          __u32 reference, __u32 x) {
  __u32 depth = (reference & ~DESIGN_NODE) >> MOAT_DEPTH_SHIFT;
  __u32 tree = base + (reference & MOAT_TREE_MASK) * 16;
  __u32 inner = 0, node = 0;
  for (__u32 level = 0; level < MOAT_MAX_DEPTH && level < depth; level++) {
    node = node * 5 + 1 + moat_rank(design_u64(block, limit, tree + node * 8), x);
    inner = inner * 5 + 1;
  }
  __u32 leaf = tree + ((inner + 1) & ~1u) * 8 + (node - inner) * 16;
  __u32 rank = moat_rank(design_u64(block, limit, leaf), x);
  return design_u16(block, limit, leaf + 6 + rank * 2);
}

#endif
