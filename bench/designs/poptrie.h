/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Compressed bitmaps (Poptrie; Asai, Ohara, 2015): a direct root of 14 bits, then three levels
 * of 6. A node says with one bit a slot which slots have children, which stand together; leaves
 * stand together as well, one for each run of equal ones. part[0] u32[2^14] root    part[1]
 * poptrie_node[]    part[2] u16[] leaves
 */
#ifndef BENCH_DESIGNS_POPTRIE_H
#define BENCH_DESIGNS_POPTRIE_H

#include "bench/designs/layout.h"

#define POPTRIE_BITS 14
#define POPTRIE_LEVELS 3

struct poptrie_node {
  __u64 children;    /* slots that have a child */
  __u64 runs;        /* slots at which a run of equal leaves begins */
  __u32 first_child; /* index of a node */
  __u32 first_leaf;
};

static __always_inline __u32 poptrie_class(const __u8* block, __u32 limit, __u32 source) {
  const struct design_header* header = (const struct design_header*)block;
  __u32 entry = design_u32(block, limit, header->part[0] + (source >> (32 - POPTRIE_BITS)) * 4);
  if (!(entry & DESIGN_NODE)) return entry;
  __u32 node = entry & ~DESIGN_NODE;
  for (__u32 level = 0, shift = 12; level < POPTRIE_LEVELS; level++, shift -= 6) {
    __u32 at = header->part[1] + node * (__u32)sizeof(struct poptrie_node);
    __u32 slot = (source >> (shift & 31)) & 63;
    __u64 upto = (2ull << slot) - 1;
    __u64 children = design_u64(block, limit, at);
    if (!(children >> slot & 1)) {
      __u32 rank = design_popcount(design_u64(block, limit, at + 8) & upto) - 1;
      __u32 leaf = design_u32(block, limit, at + 20) + rank;
      return design_u16(block, limit, header->part[2] + leaf * 2);
    }
    node = design_u32(block, limit, at + 16) + design_popcount(children & upto) - 1;
  }
  return 0;
}

#endif
