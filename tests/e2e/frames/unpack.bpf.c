// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// A host as open as it can be, whatever devices its kernel knows: takes off every VLAN tag, as a
// device for it would, and unpacks IP in IP, GRE and VXLAN, all where the frame comes in but behind
// the XDP program. What is unpacked goes on as if it had come so.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define MOST_TAGS 8
#define GRE_BYTES 4
#define VXLAN_BYTES 8
#define VXLAN_PORT 4789

// How much stands before the inner packet, or 0 where there is none.
static __always_inline int outer_bytes(struct __sk_buff* skb, const struct iphdr* ip) {
  struct udphdr udp;
  switch (ip->protocol) {
    case IPPROTO_IPIP:
      return sizeof *ip;
    case IPPROTO_GRE:
      return sizeof *ip + GRE_BYTES;
    case IPPROTO_UDP:
      if (bpf_skb_load_bytes(skb, ETH_HLEN + sizeof *ip, &udp, sizeof udp) != 0) return 0;
      if (udp.dest != bpf_htons(VXLAN_PORT)) return 0;
      return sizeof *ip + sizeof udp + VXLAN_BYTES + ETH_HLEN;
    default:
      return 0;
  }
}

SEC("tc")
int moat_unpack(struct __sk_buff* skb) {
  for (int i = 0; i < MOST_TAGS; i++)
    if (skb->vlan_present) bpf_skb_vlan_pop(skb);

  struct iphdr ip;
  __u8 inner;
  if (skb->protocol != bpf_htons(ETH_P_IP)) return TC_ACT_OK;
  if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof ip) != 0 || ip.ihl != 5) return TC_ACT_OK;
  int outer = outer_bytes(skb, &ip);
  if (outer == 0 || bpf_skb_load_bytes(skb, ETH_HLEN + outer, &inner, 1) != 0) return TC_ACT_OK;
  if (inner >> 4 == 4) bpf_skb_adjust_room(skb, -outer, BPF_ADJ_ROOM_MAC, 0);
  return TC_ACT_OK;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
