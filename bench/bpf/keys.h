/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The sources that a benchmark asks for, one after the other; the byte order is the benchmark's. */
#ifndef MOAT_BENCH_KEYS_H
#define MOAT_BENCH_KEYS_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define BENCH_KEYS (1u << 20)

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(key_size, sizeof(__u32));
  __uint(value_size, BENCH_KEYS * sizeof(__u32));
} bench_keys SEC(".maps");

#endif
