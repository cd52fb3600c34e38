/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Reading what conntrack and the packet itself remember of the wire (wire.h), for programs that the
 * kernel gives its own struct sk_buff.
 */
#ifndef MOAT_NOTE_H
#define MOAT_NOTE_H

#include <bpf/bpf_endian.h>

#include "bpf/kernel.h"
#include "bpf/wire.h"

#define MOAT_CT_INFO 7ul   /* the low bits of _nfct: enum ip_conntrack_info */
#define MOAT_CT_IS_REPLY 3 /* IP_CT_IS_REPLY: and above, where the rest is not null */
#define IPS_CONFIRMED 0x08 /* enum ip_conntrack_status */
#define IPS_SRC_NAT 0x10   /* likewise */
#define IPS_DST_NAT 0x20   /* likewise */
#define ARPHRD_ETHER 1
#define ETHERNET_HEADER 14

/* Reads a field of the connection that is tracked at this address. */
#define moat_read_ct(to, tracked, field)   \
  bpf_probe_read_kernel(&(to), sizeof(to), \
                        (const void*)((tracked) + bpf_core_field_offset(struct nf_conn, field)))

/* Likewise a tuple. */
#define moat_read_ends(wire, tracked, tuple)                               \
  do {                                                                     \
    moat_read_ct((wire)->ends.source, tracked, tuple.src.u3.all);          \
    moat_read_ct((wire)->ends.destination, tracked, tuple.dst.u3.all);     \
    moat_read_ct((wire)->ends.source_port, tracked, tuple.src.u.all);      \
    moat_read_ct((wire)->ends.destination_port, tracked, tuple.dst.u.all); \
  } while (0)

/*
 * What conntrack knows: the tuple of a packet's own direction is that of the wire. A reply to what
 * the host opened was not sent for the port that it came to.
 */
static __always_inline void moat_note_nat(const struct sk_buff* skb, struct moat_wire* wire) {
  unsigned long tracked = skb->_nfct & ~MOAT_CT_INFO;
  unsigned long status = 0;
  __be16 port = 0;
  if (!can_read_kernel || !tracked) return;
  moat_read_ct(status, tracked, status);
  /* The source of a connection's first packet may yet be changed. */
  if (status & IPS_CONFIRMED && !(status & (IPS_SRC_NAT | IPS_DST_NAT))) return;
  if ((skb->_nfct & MOAT_CT_INFO) >= MOAT_CT_IS_REPLY) {
    moat_read_ct(wire->source, tracked, tuplehash[1].tuple.src.u3.ip);
    return;
  }
  moat_read_ct(wire->source, tracked, tuplehash[0].tuple.src.u3.ip);
  if (!(status & IPS_DST_NAT)) return;
  moat_read_ct(wire->address, tracked, tuplehash[0].tuple.dst.u3.ip);
  moat_read_ct(port, tracked, tuplehash[0].tuple.dst.u.all);
  wire->port = bpf_ntohs(port);
  wire->is_redirected = 1;
}

/*
 * Whether tc has redirected the packet to its NIC from another: it was for that one's address then.
 * The mark that it was redirected alone may be of a way by an ifb device and back.
 */
static __always_inline int moat_is_from_another(const struct sk_buff* skb) {
  __u64 here = 0, to = 0;
  if (!can_read_kernel || !bpf_core_field_exists(skb->from_ingress)) return 0;
  if (skb->dev->type != ARPHRD_ETHER) return 0;
  if (!BPF_CORE_READ_BITFIELD(skb, from_ingress)) return 0;
  bpf_probe_read_kernel(&to, 6, skb->head + skb->mac_header);
  bpf_probe_read_kernel(&here, 6, skb->dev->dev_addr);
  return to != here;
}

/*
 * Both ends as the sender of what came by lo has them, where NAT on the host has changed them: by
 * these what the host sends to itself is told from what was led to lo.
 */
static __always_inline void moat_note_ends(const struct sk_buff* skb, struct moat_wire* wire) {
  unsigned long tracked = skb->_nfct & ~MOAT_CT_INFO;
  unsigned long status = 0;
  if (!can_read_kernel || !tracked) return;
  moat_read_ct(status, tracked, status);
  if (status & IPS_CONFIRMED && !(status & (IPS_SRC_NAT | IPS_DST_NAT))) return;
  if ((skb->_nfct & MOAT_CT_INFO) >= MOAT_CT_IS_REPLY) {
    moat_read_ends(wire, tracked, tuplehash[1].tuple);
  } else {
    moat_read_ends(wire, tracked, tuplehash[0].tuple);
  }
  wire->has_ends = 1;
}

/*
 * Whether the packet reached its NIC behind the program there: IPsec has unpacked it, or something
 * else (segment routing) has taken off what stood between Ethernet's header and its own.
 */
static __always_inline __u8 moat_is_unseen(const struct sk_buff* skb) {
  if (bpf_core_enum_value_exists(enum skb_ext_id, SKB_EXT_SEC_PATH) &&
      skb->active_extensions >> bpf_core_enum_value(enum skb_ext_id, SKB_EXT_SEC_PATH) & 1)
    return 1;
  return skb->dev->type == ARPHRD_ETHER && skb->network_header - skb->mac_header != ETHERNET_HEADER;
}

/* Leaves the note on this packet, and nothing of an earlier one. */
static __always_inline struct moat_wire* moat_note_wire(const struct sk_buff* skb) {
  __u32 zero = 0;
  struct moat_wire* wire = bpf_map_lookup_elem(&wires, &zero);
  if (!wire) return 0;
  __builtin_memset(wire, 0, offsetof(struct moat_wire, ends));
  wire->packet = (unsigned long)skb;
  wire->is_redirected_by_tc = moat_is_from_another(skb);
  wire->is_unseen = wire->is_redirected_by_tc || moat_is_unseen(skb);
  moat_note_nat(skb, wire);
  if (skb->dev->ifindex == MOAT_LOOPBACK_IFINDEX) moat_note_ends(skb, wire);
  return wire;
}

#endif /* MOAT_NOTE_H */
