/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a socket does not see of a packet: how it was on the wire, before NAT. The kernel forgets it
 * where it hands a packet to a socket, so whoever sees the packet just before leaves it here:
 * input.bpf.c, or where that is not on, wire.bpf.c. Both run for the packet that the program at
 * sockets meets next on this CPU; should they not have, the note is another packet's.
 */
#ifndef MOAT_WIRE_H
#define MOAT_WIRE_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/abi.h"

/* Set before loading: whether this kernel lets the program read its memory (no under lockdown). */
const volatile __u8 can_read_kernel = 1;

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct moat_wire);
} wires SEC(".maps");

#endif /* MOAT_WIRE_H */
