// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// The same program with the kernel's own longest-prefix match in place of the source table: prefix
// to source class, everything around it unchanged.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bench/bpf/trie.h"
#include "bpf/table.h"

static __always_inline __u32 bench_lpm_class(__u32 source) {
  struct bench_lpm_key key = {32, __builtin_bswap32(source)};
  const __u32* found = bpf_map_lookup_elem(&bench_trie, &key);
  return found ? *found : 0;
}

#define moat_source_class(image, limit, source) bench_lpm_class(source)
#include "bench/bpf/verdict_bench.bpf.c"
