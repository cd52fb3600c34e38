/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading the image: source address -> source class -> verdict entry, and destination -> database.
 *
 * THE SOURCE TABLE. All databases share one table. An address of 32 bits is taken apart as 9 + 8 +
 * 15 bits:
 *
 *   top[9 bits] ---class------------------------------------------------> done
 *        \---block--> block[8 bits] ---class----------------------------> done
 *                          \---chunk--> B+-tree over the low 15 bits ---> class
 *
 * Where a /9 or a /17 is of one class, the walk ends there. Below a /17 the addresses fall into
 * ranges, each given by its first address. A chunk holds them sorted, as a B+-tree packed without
 * pointers:
 *
 *   inner node  u16 key[4]              the first address of children 1..4 of 5
 *   leaf        u16 key[4], class[4]    the first addresses of 4 ranges, and what they are
 *   chunk       inner nodes level by level, padded to 16 bytes, then the leaves
 *
 * Keys are 15 bits wide in 16-bit lanes, so one 64-bit subtraction compares four of them at once:
 * with the top bit of each lane set in x, lane i of x - key keeps that bit exactly if x >= key[i],
 * and no lane borrows from the next. Counting the bits that stayed gives the child, without a
 * branch to predict. MOAT_NO_KEY in unused lanes is larger than every x.
 *
 * A chunk is one to two cache lines for up to 20 ranges; the deepest, with 32,768 ranges, takes six
 * inner nodes. Direct-indexed levels over sorted ranges are DXR (Zec, Rizzo, Mikuc, "DXR: towards a
 * billion routing lookups per second in software", 2012); comparing lanes within a word is as in
 * fusion trees (Fredman, Willard, 1993).
 *
 * Every offset is checked against the limit, though a sound image never exceeds it: the verifier
 * has to see it, and a damaged image must not read outside itself. A failed check answers "nobody".
 */
#ifndef MOAT_TABLE_H
#define MOAT_TABLE_H

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

/* The class of the range of `chunk` (an entry of the second level) that holds x. */
static __always_inline __u32 moat_chunk_class(const struct moat_image* image, __u32 limit,
                                              __u32 chunk, __u32 x) {
  __u32 depth = (chunk & ~MOAT_NODE) >> MOAT_DEPTH_SHIFT;
  __u32 offset = image->chunks_offset + (chunk & MOAT_CHUNK_MASK) * 16;
  __u32 inner = 0; /* inner nodes above this level */
  __u32 node = 0;  /* counted level by level from the root */

  for (__u32 level = 0; level < MOAT_MAX_DEPTH; level++) {
    if (level >= depth) break;
    __u32 at = offset + node * 8;
    moat_hide(at);
    if (at > limit - 8) return 0;
    node = node * 5 + 1 + moat_rank(moat_image_u64(image, at), x);
    inner = inner * 5 + 1;
  }
  __u32 leaf = offset + ((inner + 1) & ~1u) * 8 + (node - inner) * 16;
  moat_hide(leaf);
  if (leaf > limit - 16) return 0;
  __u32 rank = moat_rank(moat_image_u64(image, leaf), x);
  __u32 at = leaf + 6 + rank * 2; /* the first key is at most x, so rank is at least 1 */
  moat_hide(at);
  if (at > limit - 2) return 0;
  return moat_image_u16(image, at);
}

/* The class of a source, in host byte order. */
static __always_inline __u32 moat_source_class(const struct moat_image* image, __u32 limit,
                                               __u32 source) {
  __u32 entry = image->top[source >> (32 - MOAT_TOP_BITS)];
  if (!(entry & MOAT_NODE)) return entry;

  __u32 below = (source >> MOAT_CHUNK_BITS) & ((1u << MOAT_BLOCK_BITS) - 1);
  __u32 at = image->blocks_offset + (((entry & ~MOAT_NODE) << MOAT_BLOCK_BITS) + below) * 4;
  moat_hide(at);
  if (at > limit - 4) return 0;
  entry = moat_image_u32(image, at);
  if (!(entry & MOAT_NODE)) return entry;

  return moat_chunk_class(image, limit, entry, source & ((1u << MOAT_CHUNK_BITS) - 1));
}

/*
 * The verdict entry of (class, database 1..64): 0, or the counter slot of the rule that lets the
 * source in now. Only an entry with a deadline reads the clock.
 */
static __always_inline __u32 moat_entry_slot(const struct moat_image* image, __u32 limit,
                                             __u32 source_class, __u32 database,
                                             const struct moat_frame* frame) {
  __u32 at = image->classes_offset + (source_class * image->databases + database - 1) * 2;
  moat_hide(at);
  if (at > limit - 2) return 0;
  __u32 entry = moat_image_u16(image, at);
  if (!(entry & MOAT_TIMED)) return entry;

  __u64 now = moat_clock(frame);
  for (__u32 i = 0; i < MOAT_MAX_CHAIN; i++) {
    at = image->timed_offset + (entry & ~MOAT_TIMED) * (__u32)sizeof(struct moat_timed);
    moat_hide(at);
    if (at > limit - sizeof(struct moat_timed)) return 0;
    if (now < moat_image_u64(image, at)) return moat_image_u16(image, at + 8);
    entry = moat_image_u16(image, at + 10);
    if (!(entry & MOAT_TIMED)) return entry;
  }
  return 0;
}

/* The port row of a TCP port in host byte order; 0: guarded nowhere. */
static __always_inline __u32 moat_port_row(const struct moat_image* image, __u32 limit,
                                           __u32 port) {
  __u32 at = image->pages_offset + (image->page[(port >> 8) & 0xff] * 256u + (port & 0xff)) * 2;
  moat_hide(at);
  if (at > limit - 2) return 0;
  return moat_image_u16(image, at);
}

/* The number of the database that guards (address row, port row), or 0. */
static __always_inline __u32 moat_endpoint(const struct moat_image* image, __u32 limit, __u32 row,
                                           __u32 port_row) {
  __u32 at = image->endpoints_offset + row * image->endpoint_stride + port_row;
  moat_hide(at);
  if (at > limit - 1) return 0;
  return moat_image_u8(image, at);
}

/* Where an address stands in the hash. The multiplier was chosen so that no two share a place. */
static __always_inline __u32 moat_address_hash(__u32 multiplier, __be32 address) {
  return (__u32)(address * multiplier) >> (32 - MOAT_ADDRESS_BITS);
}

#endif /* MOAT_TABLE_H */
