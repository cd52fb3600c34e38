// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// The product's XDP program, with another source in the frame on every run. A test run repeats one
// frame as it stands in memory, so a program that writes the next source into the frame before it
// asks for the verdict sees as many sources as there are keys. What that writing costs is measured
// by bench_patch, which does nothing else.
#include <linux/bpf.h>

// To be inlined below: the verdict must not cost a call here that it does not cost in the product.
__attribute__((always_inline)) int moat_xdp(struct xdp_md* ctx);
#include "bench/bpf/keys.h"  // in network byte order
#include "bpf/xdp.bpf.c"

// In an untagged frame.
#define BENCH_SOURCE_OFFSET 26
#define BENCH_DESTINATION_END_OFFSET 33
#define BENCH_PORT_END_OFFSET 37

__u32 bench_at;                            // the key to take next
__u32 bench_databases SEC(".data.bench");  // less one; a power of two, less one

// Each key has a database, any of them: number d is at 192.0.2.(1+d), port 5432+d.
static __always_inline int bench_patch_source(struct xdp_md* ctx) {
  __u32 zero = 0, at = bench_at++ & (BENCH_KEYS - 1);
  __u8* data = (__u8*)(long)ctx->data;
  const __u32* keys = bpf_map_lookup_elem(&bench_keys, &zero);
  if (!keys || data + BENCH_PORT_END_OFFSET + 1 > (__u8*)(long)ctx->data_end) return 0;
  __u8 database = at * 2654435761u >> 24 & bench_databases;
  *(__u32*)(data + BENCH_SOURCE_OFFSET) = keys[at];
  data[BENCH_DESTINATION_END_OFFSET] = 1 + database;
  data[BENCH_PORT_END_OFFSET] = (5432 & 255) + database;
  return 1;
}

SEC("xdp.frags")
int bench_empty(struct xdp_md* ctx) {
  (void)ctx;
  return XDP_PASS;
}

SEC("xdp.frags")
int bench_patch(struct xdp_md* ctx) { return bench_patch_source(ctx) ? XDP_PASS : XDP_ABORTED; }

SEC("xdp.frags")
int bench_verdict(struct xdp_md* ctx) {
  if (!bench_patch_source(ctx)) return XDP_ABORTED;
  return moat_xdp(ctx);
}
