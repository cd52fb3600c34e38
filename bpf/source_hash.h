/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where what is told of a source is kept account of (struct moat_source_allowance in bpf/abi.h):
 * the top bits of a hash of (source, outcome slot) are its place, the next 32 its mark there.
 */
#ifndef MOAT_SOURCE_HASH_H
#define MOAT_SOURCE_HASH_H

#include "bpf/abi.h"
#include "bpf/platform.h"

struct moat_source {
  __u32 word[4]; /* in the bytes' own order; IPv4 has the first */
};

static __always_inline __u64 moat_hash_source(const struct moat_source* source, __u32 slot) {
  const __u64 odd = 0x9e3779b97f4a7c15ull;
  __u64 low = (__u64)source->word[1] << 32 | source->word[0];
  __u64 high = (__u64)source->word[3] << 32 | source->word[2];
  __u64 hash = (low ^ slot) * odd;
  hash = (hash ^ hash >> 32 ^ high) * odd;
  return hash;
}

static __always_inline __u32 moat_source_place(__u64 hash) {
  return (__u32)(hash >> (64 - MOAT_SOURCE_BITS));
}
static __always_inline __u32 moat_source_mark(__u64 hash) {
  return (__u32)(hash >> (32 - MOAT_SOURCE_BITS));
}

#endif /* MOAT_SOURCE_HASH_H */
