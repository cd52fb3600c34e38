// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// The same program with the kernel's own longest-prefix match in place of the source table: prefix
// to source class, everything around it unchanged.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bench/bpf/trie.h"
#include "bpf/lookup.h"

#define moat_source_class(table, limit, source) bench_lpm_class(source)
#include "bench/bpf/verdict_bench.bpf.c"
