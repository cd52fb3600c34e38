// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// The same program with another design (DESIGN, a name of bench/designs) in place of the source
// table.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bench/designs/dxr.h"
#include "bench/designs/even.h"
#include "bench/designs/leaves.h"
#include "bench/designs/lines.h"
#include "bench/designs/poptrie.h"
#include "bench/designs/sorted.h"
#include "bench/designs/strides.h"
#include "bench/designs/wide.h"
#include "bpf/lookup.h"

#define DESIGN_CLASS_OF(name) name##_class
#define DESIGN_CLASS(name) DESIGN_CLASS_OF(name)

// The table; its size is set before loading.
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(key_size, sizeof(__u32));
  __uint(value_size, 64);
} bench_block SEC(".maps");

const volatile __u32 bench_limit = 64;

static __always_inline __u32 bench_class(__u32 source) {
  __u32 zero = 0;
  const __u8* block = bpf_map_lookup_elem(&bench_block, &zero);
  return block ? DESIGN_CLASS(DESIGN)(block, bench_limit, source) : 0;
}

#define moat_source_class(table, limit, source) bench_class(source)
#include "bench/bpf/verdict_bench.bpf.c"
