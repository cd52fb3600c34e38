// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// By which interface the packets of each TCP session come in: the programs on packets exempt
// trusted interfaces by that, and neither sock_diag nor the routing table tells it. An iterator,
// which shows the sockets of the network namespace of whoever reads it.
//
// The kernel keeps it with the route that the latest packet came in by (Linux 5.16 and later), from
// the socket's first packet on. What is not a whole socket has none: a handshake under way, and
// what is in TIME_WAIT.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/kernel.h"
#include "bpf/sessions.h"

SEC("iter/tcp")
int moat_arrivals(struct bpf_iter__tcp* ctx) {
  struct sock_common* found = ctx->sk_common;  // once, or the verifier forgets that it is not null
  if (!found) return 0;
  struct tcp_sock* tcp = bpf_skc_to_tcp_sock(found);
  if (!tcp) return 0;
  struct moat_arrival arrival = {};
  arrival.ifindex = (__u32)tcp->inet_conn.icsk_inet.sk.sk_rx_dst_ifindex;
  if (!arrival.ifindex) return 0;
  arrival.cookie = bpf_get_socket_cookie(tcp);
  bpf_seq_write(ctx->meta->seq, &arrival, sizeof arrival);
  return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
