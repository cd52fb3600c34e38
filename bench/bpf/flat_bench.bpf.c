// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// The same program with its table in one array, which no other can take the place of, instead of in
// an array of maps: what changing the whole policy in one step costs a packet.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/maps.h"

// Its size is set before loading.
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(key_size, sizeof(__u32));
  __uint(value_size, sizeof(struct moat_table));
} bench_table SEC(".maps");

const volatile __u32 bench_limit = sizeof(struct moat_table);

static __always_inline const struct moat_table* bench_live_table(__u32* limit) {
  __u32 zero = 0;
  *limit = bench_limit;
  return bpf_map_lookup_elem(&bench_table, &zero);
}

#define moat_live_table(limit) bench_live_table(limit)
#include "bench/bpf/verdict_bench.bpf.c"
