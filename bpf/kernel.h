/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the programs read of the kernel's own structures; the loader fills in the offsets of the
 * running kernel. A program's object names those alone that it reads.
 */
#ifndef MOAT_KERNEL_H
#define MOAT_KERNEL_H

#include <linux/types.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

/* The number of `lo` in every network namespace: a constant of the kernel's. */
#define MOAT_LOOPBACK_IFINDEX 1

struct net {
  __u64 net_cookie;
} __attribute__((preserve_access_index));
struct net_device {
  int ifindex;
  char name[16];
  unsigned short type;
  const unsigned char* dev_addr;
} __attribute__((preserve_access_index));

/* A socket: each kind begins with the one before. */
struct sock_common {
  volatile unsigned char skc_state;
  struct {
    struct net* net;
  } skc_net;
} __attribute__((preserve_access_index));
struct sock {
  struct sock_common __sk_common;
  int sk_rx_dst_ifindex;
} __attribute__((preserve_access_index));
struct inet_sock {
  struct sock sk;
} __attribute__((preserve_access_index));
struct inet_connection_sock {
  struct inet_sock icsk_inet;
} __attribute__((preserve_access_index));
struct tcp_sock {
  struct inet_connection_sock inet_conn;
} __attribute__((preserve_access_index));

struct sk_buff {
  struct sock* sk;
  struct net_device* dev;
  unsigned long _nfct;
  __u32 len;
  __be16 protocol;
  __u16 transport_header;
  __u16 network_header;
  __u16 mac_header;
  unsigned char* head;
  __u8 active_extensions;
  __u8 from_ingress : 1;
} __attribute__((preserve_access_index));
enum skb_ext_id { SKB_EXT_SEC_PATH };

/* A connection that conntrack knows. */
union nf_inet_addr {
  __be32 all[4];
  __be32 ip;
} __attribute__((preserve_access_index));
struct nf_conntrack_man {
  union nf_inet_addr u3;
  union {
    __be16 all;
  } u;
} __attribute__((preserve_access_index));
struct nf_conntrack_tuple {
  struct nf_conntrack_man src;
  struct {
    union nf_inet_addr u3;
    union {
      __be16 all;
    } u;
  } dst;
} __attribute__((preserve_access_index));
struct nf_conntrack_tuple_hash {
  struct nf_conntrack_tuple tuple;
} __attribute__((preserve_access_index));
struct nf_conn {
  struct nf_conntrack_tuple_hash tuplehash[2];
  unsigned long status;
} __attribute__((preserve_access_index));

/* What a program in a netfilter hook is given. */
struct nf_hook_state {
  struct net_device* in;
} __attribute__((preserve_access_index));
struct bpf_nf_ctx {
  const struct nf_hook_state* state;
  struct sk_buff* skb;
};

/* What an iterator over TCP sockets is given. */
struct seq_file;
struct bpf_iter_meta {
  struct seq_file* seq;
} __attribute__((preserve_access_index));
struct bpf_iter__tcp {
  struct bpf_iter_meta* meta;
  struct sock_common* sk_common;
} __attribute__((preserve_access_index));

#endif /* MOAT_KERNEL_H */
