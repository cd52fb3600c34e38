/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading the table: source address -> source class -> verdict entry, and destination -> database.
 *
 * THE SOURCE TABLE. All databases share one table. Of the 32 bits of an address the first 9 to 13,
 * the more the larger the table is, index the top. A B+-tree then takes the bits down to the /24,
 * where most of what people list begins and ends, and a leaf the last 8:
 *
 *   top[9..13 bits] ---class--------------------------------------------> done
 *           \---tree--> B+-tree over the /24s ---class-------------------> done
 *                               \---divided--> leaf of the /24 ---class--> done
 *                                                  \---tree--> B+-tree over its last 8 bits
 *
 * A tree holds ranges, each given by its first address, sorted, packed without pointers:
 *
 *   inner node  u16 key[4]             the first address of children 1..4 of 5
 *   leaf        moat_leaf              the first addresses of 4 ranges, and what they are
 *   tree        inner nodes level by level, padded to 16 bytes, then the leaves
 *
 * Keys are at most 15 bits wide in 16-bit lanes, so one 64-bit subtraction compares four of them at
 * once: with the top bit of each lane set in x, lane i of x - key keeps that bit exactly if
 * x >= key[i], and no lane borrows from the next. Counting the bits that stayed gives the child,
 * without a branch to predict. MOAT_NO_KEY in unused lanes is larger than every x.
 *
 * What this costs is lines of memory that each wait for the one before, so it is made to be small:
 * 15 bytes a prefix with 100,000 of them, and the upper levels of the trees stay in the nearest
 * cache. bench/designs.md compares. Direct-indexed levels over sorted ranges are DXR (Zec, Rizzo,
 * Mikuc, "DXR: towards a billion routing lookups per second in software", 2012); comparing lanes
 * within a word is as in fusion trees (Fredman, Willard, 1993).
 *
 * Every offset is checked against the limit, though a sound table never exceeds it: the verifier
 * has to see it, and a damaged table must not read outside itself. A failed check answers "nobody".
 */
#ifndef MOAT_LOOKUP_H
#define MOAT_LOOKUP_H

#include "bpf/abi.h"
#include "bpf/platform.h"

#define MOAT_LANE_ONES 0x0001000100010001ull
#define MOAT_LANE_TOPS 0x8000800080008000ull
#define MOAT_NO_KEY 0x8000u

/* How many of the four keys of a node are at most x (15 bits). */
static __always_inline __u32 moat_rank(__u64 keys, __u32 x) {
  __u64 spread = (__u64)x * MOAT_LANE_ONES | MOAT_LANE_TOPS;
  __u64 at_most = ((spread - keys) >> 15) & MOAT_LANE_ONES;
  return (__u32)((at_most * MOAT_LANE_ONES) >> 48);
}

/* The value of lane `rank` - 1; the first key is at most x, so a rank is at least 1. */
static __always_inline __u32 moat_lane(__u64 values, __u32 rank) {
  return (values >> ((rank * 16 - 16) & 63)) & 0xffff;
}

/* The value of the range that holds x, in the tree that `reference` names. */
static __always_inline __u32 moat_tree_value(const struct moat_table* table, __u32 limit,
                                             __u32 reference, __u32 x) {
  __u32 depth = (reference & ~MOAT_TREE) >> MOAT_DEPTH_SHIFT;
  __u32 tree = table->trees_offset + (reference & MOAT_TREE_MASK) * 16;
  __u32 inner = 0; /* inner nodes above this level */
  __u32 node = 0;  /* counted level by level from the root */

  for (__u32 level = 0; level < MOAT_MAX_DEPTH; level++) {
    if (level >= depth) break;
    __u32 at = tree + node * 8;
    if (!moat_is_within(&at, 8, limit)) return 0;
    node = node * 5 + 1 + moat_rank(moat_table_u64(table, at), x);
    inner = inner * 5 + 1;
  }
  __u32 leaf = tree + ((inner + 1) & ~1u) * 8 + (node - inner) * 16;
  if (!moat_is_within(&leaf, 16, limit)) return 0;
  return moat_lane(moat_table_u64(table, leaf + 8), moat_rank(moat_table_u64(table, leaf), x));
}

/* The class of a source, in host byte order. */
static __always_inline __u32 moat_source_class(const struct moat_table* table, __u32 limit,
                                               __u32 source) {
  __u32 below = (32 - table->top_bits) & 31; /* bits below the top */
  __u32 top = table->tops_offset + (source >> below) * 8;
  if (!moat_is_within(&top, 8, limit)) return 0;
  __u64 entry = moat_table_u64(table, top);
  __u32 value = (__u32)entry, first_leaf = (__u32)(entry >> 32);
  if (!(value & MOAT_TREE)) return value;

  value = moat_tree_value(table, limit, value, (source & ((1u << below) - 1)) >> 8);
  if (!(value & MOAT_DIVIDED)) return value;

  __u32 leaf = table->leaves_offset + (first_leaf + (value & ~MOAT_DIVIDED)) * 16;
  if (!moat_is_within(&leaf, 16, limit)) return 0;
  __u64 keys = moat_table_u64(table, leaf), values = moat_table_u64(table, leaf + 8);
  if (keys & 0xffff) return moat_tree_value(table, limit, (__u32)values, source & 0xff);
  return moat_lane(values, moat_rank(keys, source & 0xff));
}

/*
 * The verdict entry of (class, database 1..64): 0, or the counter slot of the rule that lets the
 * source in now. Only an entry with a deadline reads the clock.
 */
static __always_inline __u32 moat_entry_slot(const struct moat_table* table, __u32 limit,
                                             __u32 source_class, __u32 database,
                                             const struct moat_frame* frame) {
  __u32 at = table->classes_offset + (source_class * table->databases + database - 1) * 2;
  if (!moat_is_within(&at, 2, limit)) return 0;
  __u32 entry = moat_table_u16(table, at);
  if (!(entry & MOAT_TIMED)) return entry;

  __u64 now = moat_clock(frame);
  for (__u32 i = 0; i < MOAT_MAX_CHAIN; i++) {
    at = table->timed_offset + (entry & ~MOAT_TIMED) * (__u32)sizeof(struct moat_timed);
    if (!moat_is_within(&at, sizeof(struct moat_timed), limit)) return 0;
    if (now < moat_table_u64(table, at)) return moat_table_u16(table, at + 8);
    entry = moat_table_u16(table, at + 10);
    if (!(entry & MOAT_TIMED)) return entry;
  }
  return 0;
}

/* The port row of a TCP port in host byte order; 0: guarded nowhere. */
static __always_inline __u32 moat_port_row(const struct moat_table* table, __u32 limit,
                                           __u32 port) {
  __u32 page = table->page[moat_masked(port >> 8, 0xff)];
  __u32 at = table->pages_offset + (page * 256u + (port & 0xff)) * 2;
  if (!moat_is_within(&at, 2, limit)) return 0;
  return moat_table_u16(table, at);
}

/* The number of the database that guards (address row, port row), or 0. */
static __always_inline __u32 moat_endpoint(const struct moat_table* table, __u32 limit, __u32 row,
                                           __u32 port_row) {
  __u32 at = table->endpoints_offset + row * table->endpoint_stride + port_row;
  if (!moat_is_within(&at, 1, limit)) return 0;
  return moat_table_u8(table, at);
}

/* Where an address stands in the hash. The multiplier was chosen so that no two share a place. */
static __always_inline __u32 moat_address_hash(__u32 multiplier, __be32 address) {
  return (__u32)(address * multiplier) >> (32 - MOAT_ADDRESS_BITS);
}

#endif /* MOAT_LOOKUP_H */
