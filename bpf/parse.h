/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finding one's way in a frame: bytes by offset, Ethernet and its tags, IPv4 options.
 * Offsets count from the start of the frame; nothing here reads past the frame.
 */
#ifndef MOAT_PARSE_H
#define MOAT_PARSE_H

#include "bpf/platform.h"

#define MOAT_ETH_IPV4 0x0800
#define MOAT_ETH_IPV6 0x86dd
#define MOAT_ETH_8021Q 0x8100
#define MOAT_ETH_8021AD 0x88a8

#define MOAT_IP_ICMP 1
#define MOAT_IP_TCP 6
#define MOAT_IP_UDP 17

#define MOAT_OFFSET_MAX 0xffffu /* no header that matters begins beyond it */

/*
 * `bytes` (a constant) bytes at `offset`: in place where the first buffer has them, else gathered
 * into `scratch`. Null where the frame ends before. A program that defines MOAT_FETCH_ALL is given
 * no pointers into the packet.
 */
static __always_inline const __u8* moat_at(const struct moat_frame* frame, __u32 offset,
                                           __u32 bytes, __u8* scratch) {
  barrier_var(offset);
  if (offset > MOAT_OFFSET_MAX - bytes) return 0;
#ifndef MOAT_FETCH_ALL
  const __u8* p = frame->data + offset;
  if (p + bytes <= frame->end) return p;
#endif
  if (offset + bytes > frame->length) return 0;
  return moat_fetch(frame->context, offset, scratch, bytes) == 0 ? scratch : 0;
}

/* `bytes` (1..64) bytes at `offset` into `to`. 0, or not where the frame ends before. */
static __always_inline long moat_gather(const struct moat_frame* frame, __u32 offset, __u8* to,
                                        __u32 bytes) {
#ifndef __bpf__
  if (offset + bytes <= (__u32)(frame->end - frame->data)) {
    __builtin_memcpy(to, frame->data + offset, bytes);
    return 0;
  }
#endif
  return moat_fetch(frame->context, offset, to, bytes);
}

/* Where the network header begins, and what it is. */
struct moat_link {
  __u32 l3;      /* offset */
  __u16 type;    /* EtherType after all tags, host byte order */
  __u16 vlan;    /* TCI of the outermost tag, or 0 */
  __u8 too_deep; /* more tags than anyone nests */
  __u8 cut;      /* the frame ends within its link header */
};

static __always_inline int moat_is_tag(__u32 type) {
  return type == MOAT_ETH_8021Q || type == MOAT_ETH_8021AD;
}

static __always_inline void moat_parse_link(const struct moat_frame* frame,
                                            struct moat_link* link) {
  __u8 scratch[4];
  const __u8* p = moat_at(frame, 12, 2, scratch);

  link->l3 = 14;
  link->vlan = 0;
  link->too_deep = 0;
  link->cut = !p;
  link->type = p ? moat_be16(p) : 0;

  for (__u32 tags = 0; moat_is_tag(link->type); tags++) {
    if (tags == MOAT_MAX_VLANS) {
      link->too_deep = 1;
      return;
    }
    p = moat_at(frame, link->l3, 4, scratch);
    if (!p) {
      link->cut = 1;
      return;
    }
    if (tags == 0) link->vlan = moat_be16(p);
    link->type = moat_be16(p + 2);
    link->l3 += 4;
  }
}

/* What a walk over IPv4 options found (RFC 791, section 3.1). */
enum moat_options { MOAT_OPTIONS_PLAIN, MOAT_OPTIONS_SOURCE_ROUTE, MOAT_OPTIONS_BROKEN };

#define MOAT_OPTION_END 0
#define MOAT_OPTION_NOP 1
#define MOAT_OPTION_LSRR 131
#define MOAT_OPTION_SSRR 137

/* The most that IHL leaves for options, in a buffer of a power of two, so that a mask bounds it. */
#define MOAT_OPTIONS_MAX 40
struct moat_option_bytes {
  __u8 at[64];
};

/*
 * Walks `bytes` (at most 40) bytes of options as a receiver would: enum moat_options. In the kernel
 * a function of its own, so that the verifier looks at it once and not once for each way to it; and
 * as it would follow every length an option can have, it is made to forget where the walk stands.
 */
MOAT_FUNCTION int moat_walk_options(const struct moat_option_bytes* option, __u32 bytes) {
  __u32 at = 0;
  if (!option || bytes > MOAT_OPTIONS_MAX) return MOAT_OPTIONS_BROKEN;

  for (__u32 i = 0; i < MOAT_OPTIONS_MAX && at < bytes; i++) {
    __u32 type = option->at[moat_masked(at, 63)];
    if (type == MOAT_OPTION_END) break;
    if (type == MOAT_OPTION_LSRR || type == MOAT_OPTION_SSRR) return MOAT_OPTIONS_SOURCE_ROUTE;
    __u32 is_nop = type == MOAT_OPTION_NOP;
    __u32 length = at + 1 < bytes ? option->at[moat_masked(at + 1, 63)] : 0;
    if (!is_nop && (length < 2 || at + length > bytes)) return MOAT_OPTIONS_BROKEN;
    at += is_nop ? 1 : length;
    moat_forget(at, type);
  }
  return MOAT_OPTIONS_PLAIN;
}

/* The options in `bytes` bytes at `offset`, 0 to 40 as IHL has it. */
static __always_inline int moat_parse_options(const struct moat_frame* frame, __u32 offset,
                                              __u32 bytes) {
  struct moat_option_bytes option = {{0}};
  if (bytes == 0) return MOAT_OPTIONS_PLAIN;
  if (!moat_is_count(&bytes, MOAT_OPTIONS_MAX)) return MOAT_OPTIONS_BROKEN;
  if (moat_gather(frame, offset, option.at, bytes)) return MOAT_OPTIONS_BROKEN;
  return moat_walk_options(&option, bytes);
}

#endif /* MOAT_PARSE_H */
