/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The kernel's own longest-prefix match: prefix to source class. */
#ifndef MOAT_BENCH_TRIE_H
#define MOAT_BENCH_TRIE_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct bench_lpm_key {
  __u32 length;
  __be32 address;
};

struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(max_entries, 1u << 21);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct bench_lpm_key);
  __type(value, __u32);
} bench_trie SEC(".maps");

static __always_inline __u32 bench_lpm_class(__u32 source) {
  struct bench_lpm_key key = {32, __builtin_bswap32(source)};
  const __u32* found = bpf_map_lookup_elem(&bench_trie, &key);
  return found ? *found : 0;
}

#endif
