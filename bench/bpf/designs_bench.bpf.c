// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// Nothing but lookups, in a loop inside the program: one program a design, all with the same loop,
// and one with no lookup in it, which says what the loop costs.
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

static __always_inline long moat_fetch(void* context, unsigned int offset, void* to,
                                       unsigned int bytes);

#include "bench/bpf/keys.h"  // in host byte order
#include "bench/bpf/trie.h"
#include "bench/designs/dxr.h"
#include "bench/designs/even.h"
#include "bench/designs/leaves.h"
#include "bench/designs/lines.h"
#include "bench/designs/poptrie.h"
#include "bench/designs/sorted.h"
#include "bench/designs/strides.h"
#include "bench/designs/wide.h"
#include "bpf/lookup.h"

// The table; its size is set before loading.
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(key_size, sizeof(__u32));
  __uint(value_size, sizeof(struct moat_table));
} bench_block SEC(".maps");

const volatile __u32 bench_limit = sizeof(struct moat_table);
const volatile __u32 bench_depends = 0;  // each key waits for the last result
__u32 bench_count = 1;                   // lookups a run
__u32 bench_zero;                        // 0, which neither compiler nor verifier knows
// In sections of their own, by whose names they are written and read.
__u32 bench_at SEC(".data.at");        // of the next key
__u32 bench_found SEC(".data.found");  // the sum of what a run found

// Ends a loop for the verifier, which need not walk each step of it then.
#define can_loop                                         \
  ({                                                     \
    __label__ stop, go_on;                               \
    bool is_allowed = true;                              \
    asm volatile goto("may_goto %l[stop]" : : : : stop); \
    goto go_on;                                          \
  stop:                                                  \
    is_allowed = false;                                  \
  go_on:;                                                \
    is_allowed;                                          \
  })

// `fog` is 0, which the verifier does not know: so that it forgets where the loop stands each time.
#define DESIGN(name, lookup)                                          \
  SEC("xdp")                                                          \
  int bench_##name(struct xdp_md* ctx) {                              \
    __u32 zero = 0, found = 0, at = bench_at, end = at + bench_count; \
    __u32 fog = bench_zero;                                           \
    const __u32* keys = bpf_map_lookup_elem(&bench_keys, &zero);      \
    const __u8* block = bpf_map_lookup_elem(&bench_block, &zero);     \
    (void)ctx;                                                        \
    if (!keys || !block) return XDP_ABORTED;                          \
    while (at != end && can_loop) {                                   \
      __u32 source = keys[at & (BENCH_KEYS - 1)];                     \
      at = (at + 1) ^ fog;                                            \
      if (bench_depends) source ^= found & fog;                       \
      found += lookup;                                                \
      found ^= fog;                                                   \
    }                                                                 \
    bench_at = at;                                                    \
    bench_found = found;                                              \
    return XDP_PASS;                                                  \
  }

DESIGN(empty, source & 1)
DESIGN(lpm, bench_lpm_class(source))
DESIGN(moat, moat_source_class((const struct moat_table*)block, bench_limit, source))
DESIGN(even, even_class(block, bench_limit, source))
DESIGN(lines, lines_class(block, bench_limit, source))
DESIGN(leaves, leaves_class(block, bench_limit, source))
DESIGN(wide, wide_class(block, bench_limit, source))
DESIGN(strides, strides_class(block, bench_limit, source))
DESIGN(dxr, dxr_class(block, bench_limit, source))
DESIGN(poptrie, poptrie_class(block, bench_limit, source))
DESIGN(sorted, sorted_class(block, bench_limit, source))

char LICENSE[] SEC("license") = "Dual BSD/GPL";
