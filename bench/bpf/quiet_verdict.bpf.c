// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// verdict_bench.bpf.c with a program that tells nobody of a drop.
#define MOAT_DROP_EVENTS_H
#define moat_tell(...) ((void)0)
#include "bench/bpf/verdict_bench.bpf.c"
