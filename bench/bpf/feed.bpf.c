// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// Sends frames and receives them in the least that a program can do: what feed.cpp runs.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bench/network/feed.h"

// What each frame in turn is given.
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(key_size, sizeof(__u32));
  __uint(value_size, FEED_SOURCES * sizeof(struct feed_source));
} feed_sources SEC(".maps");

volatile const __u32 feed_to;  // an interface; what is sent there, its peer receives
__u64 feed_sent;

// Writes a source and the checksums that go with it into the frame, and sends that. Frames are
// used again as they were left, so all that differs between two of them is written each time.
SEC("xdp")
int feed(struct xdp_md* ctx) {
  __u32 zero = 0;
  __u8* data = (__u8*)(long)ctx->data;
  const struct feed_source* sources = bpf_map_lookup_elem(&feed_sources, &zero);
  if (!sources || data + FEED_FRAME_BYTES > (__u8*)(long)ctx->data_end) return XDP_ABORTED;
  const struct feed_source* source = &sources[feed_sent++ & (FEED_SOURCES - 1)];
  *(__u16*)(data + FEED_IP_CHECK) = source->ip_check;
  *(__u32*)(data + FEED_IP_SOURCE) = source->address;
  *(__u16*)(data + FEED_TCP_CHECK) = source->tcp_check;
  return bpf_redirect(feed_to, 0);
}

SEC("xdp")
int bare_drop(struct xdp_md* ctx) {
  (void)ctx;
  return XDP_DROP;
}

SEC("xdp")
int bare_pass(struct xdp_md* ctx) {
  (void)ctx;
  return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
