/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the backstop's programs read of the kernel's own structures, and whether they may. */
#ifndef MOAT_KERNEL_H
#define MOAT_KERNEL_H

#include <linux/types.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

/* The number of `lo` in every network namespace: a constant of the kernel's. */
#define MOAT_LOOPBACK_IFINDEX 1

/* Set before loading: whether this kernel lets the program read its memory (no under lockdown). */
const volatile __u8 can_read_kernel = 1;

/* What is read of the kernel's structures; the loader fills in the offsets of the running kernel.
 */
struct net_device {
  int ifindex;
  char name[16];
  unsigned short type;
  const unsigned char* dev_addr;
} __attribute__((preserve_access_index));
struct sock;
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
enum skb_ext_id { SKB_EXT_SEC_PATH };

#endif /* MOAT_KERNEL_H */
