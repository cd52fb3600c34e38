/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the designs under comparison share: a table is one block of bytes, read as
 *
 *   class = NAME_class(block, limit, source)
 *
 * with the source in host byte order and `limit` the size of the memory that holds the block. Plain
 * C for the kernel and for a process, like the product's own table; every offset is checked against
 * the limit, as the verifier would have it.
 */
#ifndef BENCH_DESIGNS_LAYOUT_H
#define BENCH_DESIGNS_LAYOUT_H

#include "bpf/platform.h"

#define DESIGN_NODE 0x80000000u /* in an entry: a reference downwards, not a class */

/* A block begins with where its parts begin. */
struct design_header {
  __u32 part[4]; /* offsets in bytes */
};

/* A value of 16, 32 or 64 bits at an offset, or 0 beyond the limit. */
#define DESIGN_READ(bits)                                                                     \
  static __always_inline __u##bits design_u##bits(const __u8* block, __u32 limit, __u32 at) { \
    barrier_var(at);                                                                          \
    if (at > limit - bits / 8) return 0;                                                      \
    return moat_load_u##bits(block + at);                                                     \
  }
DESIGN_READ(16)
DESIGN_READ(32)
DESIGN_READ(64)

/* Bits set, without the instruction that BPF does not have. */
static __always_inline __u32 design_popcount(__u64 x) {
  x -= (x >> 1) & 0x5555555555555555ull;
  x = (x & 0x3333333333333333ull) + ((x >> 2) & 0x3333333333333333ull);
  x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0full;
  return (__u32)((x * 0x0101010101010101ull) >> 56);
}

#endif
