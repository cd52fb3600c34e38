// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// Notes what was on the wire (wire.h) where input.bpf.c is not on: on kernels without a place for
// it and where the backstop is kept to a cgroup. It looks on where TCP begins to look for a socket,
// in all network namespaces, and changes nothing.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/note.h"

static __always_inline int note(const struct sk_buff* skb) {
  moat_note_wire(skb);
  return 0;
}

SEC("fentry/tcp_v4_rcv")
int moat_wire_ipv4(__u64* arguments) { return note((const struct sk_buff*)arguments[0]); }

SEC("fentry/tcp_v6_rcv")
int moat_wire_ipv6(__u64* arguments) { return note((const struct sk_buff*)arguments[0]); }

char LICENSE[] SEC("license") = "Dual BSD/GPL";
