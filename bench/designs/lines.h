/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fast path's index of the product's table (dataplane/dpdk/lines.h), asked one source at a
 * time: a cache line for each /16 that has more than one class, and the table's own leaves below.
 *   the product's table, and at the next multiple of 64
 *   part[0] u32[2^16] firsts    part[1] 64-byte lines    part[2] u16[] more values
 */
#ifndef BENCH_DESIGNS_LINES_H
#define BENCH_DESIGNS_LINES_H

#include "bench/designs/layout.h"
#include "bpf/lookup.h"

#define LINES_LINE 0x80000000u /* in firsts: a number of a line, not a class */
#define LINES_INLINE 10        /* values that a line has room for */

static __always_inline __u32 lines_class(const __u8* block, __u32 limit, __u32 source) {
  const struct moat_table* table = (const struct moat_table*)block;
  __u32 header = (table->size + 63) & ~63u;
  __u32 first = design_u32(block, limit, design_u32(block, limit, header) + (source >> 16) * 4);
  if (!(first & LINES_LINE)) return first;

  __u32 line = design_u32(block, limit, header + 4) + (first & ~LINES_LINE) * 64;
  __u32 place = source >> 8 & 255, word = place / 64;
  __u64 until = design_u64(block, limit, line + word * 8) << (63 - place % 64);
  /* The runs before words 0 to 3, a byte each. */
  __u32 before = design_u32(block, limit, line + 40) >> (word * 8) & 255;
  __u32 run = before + design_popcount(until) - 1;
  __u32 at = line + 44 + run * 2;
  if (run >= LINES_INLINE)
    at = design_u32(block, limit, header + 8) +
         (design_u32(block, limit, line + 36) + run - LINES_INLINE) * 2;
  __u32 value = design_u16(block, limit, at);
  if (!(value & MOAT_DIVIDED)) return value;

  __u32 number = design_u32(block, limit, line + 32) + (value & ~MOAT_DIVIDED);
  __u32 leaf = table->leaves_offset + number * 16;
  if (!moat_is_within(&leaf, 16, limit)) return 0;
  __u64 keys = moat_table_u64(table, leaf), values = moat_table_u64(table, leaf + 8);
  if (keys & 0xffff) return moat_tree_value(table, limit, (__u32)values, source & 0xff);
  return moat_lane(values, moat_rank(keys, source & 0xff));
}

#endif
