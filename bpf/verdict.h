/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a packet meets: one function, the same for the kernel, for DPDK and for tests and commands.
 *
 *   frame -> moat_judge_frame --plain----------------> moat_judge_ipv4 --> source table
 *                  \--link header-> moat_judge_packet --/
 *                                       ^          \--> moat_judge_ipv6
 *   packet without link header ---------/
 *
 * Each step returns the reason as soon as it is known; who is asked later can rely on what was
 * checked before. moat_settle turns the reason into a verdict and the counter slot that records it.
 * The caller counts, tells and drops: this file has no side effects.
 */
#ifndef MOAT_VERDICT_H
#define MOAT_VERDICT_H

#include "bpf/lookup.h"
#include "bpf/parse.h"

struct moat_verdict {
  __u32 slot;     /* the one counter slot to add this packet to */
  __u32 bytes;    /* what to add: to the end of an IPv4 packet, else of the whole frame */
  __u32 l3;       /* offset of the IP header; meaningful where family is not 0 */
  __u32 database; /* number in the table, 0: none known */
  __u16 port;     /* TCP destination, host byte order; 0: none read */
  __u16 vlan;     /* TCI of the outermost tag, or 0 */
  __u8 family;    /* 4, 6, or 0 for no address read */
  __u8 reason;    /* enum moat_reason */
  __u8 drop;      /* what to do with the packet, mode considered */
  __u8 owner;     /* of the counter slot: 0 the host, else the database's */
  __u8 monitored; /* would be dropped if not for monitor mode */
};

/* Bit r: reason r is one to drop for. */
static const __u32 moat_drop_reasons = 0u
#define MOAT_X(name, text, drops) | ((__u32)(drops) << MOAT_##name)
    MOAT_REASON_LIST(MOAT_X);
#undef MOAT_X

static __always_inline __u32 moat_is_drop(__u32 reason) { return moat_drop_reasons >> reason & 1; }

/* Sources that can be no client's: 0/8, 127/8, 224/4 and 240/4. Host byte order. */
static __always_inline int moat_is_martian(__u32 source) {
  __u32 octet = source >> 24;
  return octet - 1 >= 223 || octet == 127; /* 0 - 1 is large */
}

#define MOAT_IP_FRAGMENT 0x3fff /* more fragments, or an offset */
#define MOAT_PLAIN_HEADERS 54   /* Ethernet, IPv4 and TCP without options */

/* What a step answers that has nothing to say against the packet. */
#define MOAT_UNDECIDED 0xffu

/* An IPv4 packet whose header holds: the facts that the rest of the way needs. */
struct moat_ipv4 {
  __u32 source; /* host byte order */
  __be32 destination;
  __u32 protocol;
  __u32 fragment; /* flags and offset field, host byte order */
  __u32 l4;       /* offset of what follows the header */
  __u32 end;      /* offset one past the packet; padding lies beyond */
  __u32 has_port; /* an unfragmented TCP packet whose header holds; then: */
  __u16 port;     /* TCP destination, host byte order */
};

static __always_inline __u16 moat_port_of(const struct moat_frame* frame, const __u8* tcp) {
  return frame->port ? (__u16)frame->port : moat_be16(tcp + 2);
}

static __always_inline void moat_parse_tcp(const struct moat_frame* frame, struct moat_ipv4* ip) {
  __u8 scratch[16];
  const __u8* tcp = moat_at(frame, ip->l4, 14, scratch);
  if (!tcp || ip->l4 + 20 > ip->end) return;
  __u32 header = (tcp[12] >> 4) * 4u;
  if (header < 20 || ip->l4 + header > ip->end) return;
  ip->has_port = 1;
  ip->port = moat_port_of(frame, tcp);
}

static __always_inline __u32 moat_parse_ipv4(const struct moat_frame* frame, __u32 l3,
                                             struct moat_ipv4* ip) {
  __u8 scratch[20];
  const __u8* p = moat_at(frame, l3, 20, scratch);
  if (!p) return MOAT_MALFORMED;

  __u32 header = (p[0] & 15) * 4u;
  __u32 room = frame->length - l3;
  __u32 total = moat_be16(p + 2);
  if (total == 0 && room > 0xffff) total = room; /* BIG TCP */
  if (p[0] >> 4 != 4 || header < 20 || total < header || total > room) return MOAT_MALFORMED;

  ip->source = __builtin_bswap32(frame->source ? frame->source : moat_load_u32(p + 12));
  ip->destination = frame->address ? frame->address : moat_load_u32(p + 16);
  ip->protocol = p[9];
  ip->fragment = moat_be16(p + 6);
  ip->l4 = l3 + header;
  ip->end = l3 + total;
  ip->has_port = 0;
  ip->port = 0;
  if (ip->protocol == MOAT_IP_TCP && !(ip->fragment & MOAT_IP_FRAGMENT)) {
    moat_parse_tcp(frame, ip);
  } else if (frame->is_tcp) {
    ip->protocol = MOAT_IP_TCP;
    ip->has_port = 1;
    ip->port = (__u16)frame->port;
  }
  return MOAT_UNDECIDED;
}

/*
 * The same facts where nothing is out of the ordinary: an untagged frame, IPv4 without options, not
 * a fragment, TCP, all of it in the first buffer and sound. Nearly every packet to a database is
 * so. 0 where something is other than that, which is for the functions above to judge.
 */
static __always_inline int moat_parse_plain(const struct moat_frame* frame, struct moat_ipv4* ip) {
  const __u8* p = frame->data;
  if (p + MOAT_PLAIN_HEADERS > frame->end) return 0;
  __u32 room = (__u32)(frame->end - p) - 14;
  __u32 total = moat_be16(p + 16), header = (p[46] >> 4) * 4u;
  if (moat_be16(p + 12) != MOAT_ETH_IPV4 || p[14] != 0x45 || p[23] != MOAT_IP_TCP) return 0;
  if (moat_be16(p + 20) & MOAT_IP_FRAGMENT) return 0;
  if (total > room || header < 20 || total < 20 + header) return 0;

  ip->source = __builtin_bswap32(moat_load_u32(p + 26));
  ip->destination = moat_load_u32(p + 30);
  ip->protocol = MOAT_IP_TCP;
  ip->fragment = 0;
  ip->l4 = 34;
  ip->end = 14 + total;
  ip->has_port = 1;
  ip->port = moat_be16(p + 36);
  return 1;
}

/* Which database guards the TCP port that the packet is for, in v->database. */
static __always_inline __u32 moat_judge_port(const struct moat_table* table, __u32 limit,
                                             const struct moat_ipv4* ip, __u32 address_row,
                                             struct moat_verdict* v) {
  if (ip->protocol != MOAT_IP_TCP) return MOAT_NOT_GUARDED;
  if (!address_row && !(table->flags & MOAT_ANY_ADDRESS)) return MOAT_NOT_GUARDED;
  if (ip->fragment & MOAT_IP_FRAGMENT) return MOAT_FRAGMENT;
  if (!ip->has_port) return MOAT_MALFORMED;

  v->port = ip->port;
  v->database = moat_endpoint(table, limit, address_row, moat_port_row(table, limit, v->port));
  if (!v->database) return MOAT_NOT_GUARDED;
  return MOAT_UNDECIDED;
}

/*
 * What may reach a wholly private address whoever sends it: ICMP errors (3, 11, 12), without which
 * path MTU discovery fails, and DHCP answers. A later fragment shows neither.
 */
static __always_inline int moat_is_exempt(const struct moat_frame* frame,
                                          const struct moat_ipv4* ip) {
  __u8 scratch[4];
  if (ip->fragment & 0x1fff) return 0;
  if (ip->protocol == MOAT_IP_ICMP) {
    const __u8* icmp = ip->l4 + 1 <= ip->end ? moat_at(frame, ip->l4, 1, scratch) : 0;
    return icmp && (icmp[0] == 3 || icmp[0] == 11 || icmp[0] == 12);
  }
  if (ip->protocol == MOAT_IP_UDP) {
    const __u8* udp = ip->l4 + 4 <= ip->end ? moat_at(frame, ip->l4, 4, scratch) : 0;
    return udp && moat_be16(udp) == 67 && moat_be16(udp + 2) == 68;
  }
  return 0;
}

/* Whether a source of this class may reach v->database; if so v->slot is its rule's. */
static __always_inline __u32 moat_judge_class(const struct moat_table* table, __u32 limit,
                                              const struct moat_frame* frame, __u32 source_class,
                                              struct moat_verdict* v) {
  v->slot = source_class ? moat_entry_slot(table, limit, source_class, v->database, frame) : 0;
  return v->slot ? MOAT_ALLOWED : MOAT_NO_RULE;
}

/*
 * How far to judge; a constant. To MOAT_ENDPOINT is all but the source table, whose answer, where
 * it decides, is left MOAT_UNDECIDED: who judges a burst asks the table for all of its packets
 * together and then judges the class of each (dataplane/dpdk/burst.h).
 */
enum moat_extent { MOAT_ENDPOINT, MOAT_SOURCE };

static __always_inline __u32 moat_judge_ipv4(const struct moat_table* table, __u32 limit,
                                             const struct moat_frame* frame,
                                             const struct moat_ipv4* ip, enum moat_extent extent,
                                             struct moat_verdict* v) {
  __u32 row = 0, all = 0, reason = MOAT_UNDECIDED;
  v->family = 4;
  v->bytes = ip->end;

  if (table->flags & MOAT_SOME_ADDRESS) {
    __u32 place = moat_address_hash(table->address_multiplier, ip->destination);
    if (table->address[place].address == ip->destination) {
      row = table->address[place].row;
      all = table->address[place].all;
    }
  }
  v->database = all;
  if (!all) reason = moat_judge_port(table, limit, ip, row, v);
  if (reason != MOAT_UNDECIDED) return reason;

  if (ip->l4 > v->l3 + 20) {
    int options = moat_parse_options(frame, v->l3 + 20, ip->l4 - v->l3 - 20);
    if (options == MOAT_OPTIONS_SOURCE_ROUTE) return MOAT_SOURCE_ROUTE;
    if (options == MOAT_OPTIONS_BROKEN) return MOAT_MALFORMED;
  }
  if (moat_is_martian(ip->source)) return MOAT_MARTIAN;
  if (all && moat_is_exempt(frame, ip)) return MOAT_EXEMPT;
  if (extent == MOAT_ENDPOINT) return MOAT_UNDECIDED;
  return moat_judge_class(table, limit, frame, moat_source_class(table, limit, ip->source), v);
}

/*
 * IPv6 next-header values that are headers to walk over: 0, 43, 51, 60, 135, 139, 140 (IANA, IPv6
 * Extension Header Types). As bits, because the verifier follows every branch of every step.
 */
static __always_inline __u32 moat_is_ipv6_extension(__u32 next) {
  const __u64 low = 1ull << 0 | 1ull << 43 | 1ull << 51 | 1ull << 60;
  const __u64 high = 1ull << (135 - 128) | 1ull << (139 - 128) | 1ull << (140 - 128);
  __u32 is_low = ((next >> 6) - 1) >> 31, is_high = ((next >> 6 ^ 2) - 1) >> 31;
  return (__u32)(low >> (next & 63) & is_low) | (__u32)(high >> (next & 63) & is_high);
}
#define MOAT_IPV6_FRAGMENT 44
#define MOAT_IPV6_AUTHENTICATION 51

/*
 * There are no IPv6 rules, so a guarded port is closed to everyone. A port that nobody names has
 * row 0, and a database there only where all of IPv6 is closed.
 */
static __always_inline __u32 moat_judge_port6(const struct moat_table* table, __u32 limit,
                                              __u16 port, struct moat_verdict* v) {
  v->port = port;
  __u32 row = moat_port_row(table, limit, v->port);
  v->database = moat_endpoint(table, limit, table->ipv6_row, row);
  if (!v->database) return MOAT_NOT_GUARDED;
  return MOAT_IPV6;
}

/* TCP at the end of a chain. */
static __always_inline __u32 moat_judge_tcp6(const struct moat_table* table, __u32 limit,
                                             const struct moat_frame* frame, __u32 l4, __u32 end,
                                             struct moat_verdict* v) {
  __u8 scratch[4];
  const __u8* tcp = l4 + 4 <= end ? moat_at(frame, l4, 4, scratch) : 0;
  if (!tcp) return MOAT_IPV6;
  return moat_judge_port6(table, limit, moat_port_of(frame, tcp), v);
}

static __always_inline __u32 moat_judge_ipv6(const struct moat_table* table, __u32 limit,
                                             const struct moat_frame* frame,
                                             struct moat_verdict* v) {
  __u8 scratch[8], header[8] = {0};
  if (!(table->flags & MOAT_SOME_PORT)) return MOAT_NOT_GUARDED;
  const __u8* p = moat_at(frame, v->l3, 8, scratch);
  if (!p || p[0] >> 4 != 6 || frame->length < v->l3 + 40) return MOAT_IPV6;
  v->family = 6;
  if (frame->is_tcp) return moat_judge_port6(table, limit, (__u16)frame->port, v);

  __u32 payload = moat_be16(p + 4);
  __u32 end = frame->length; /* payload 0: a jumbogram, or BIG TCP */
  if (payload && v->l3 + 40 + payload < end) end = v->l3 + 40 + payload;

  __u32 at = v->l3 + 40, next = p[6], fragmented = 0;
  for (__u32 i = 0; i <= MOAT_MAX_IPV6_HEADERS; i++) {
    if (next == MOAT_IP_TCP && fragmented) return MOAT_IPV6;
    if (next == MOAT_IP_TCP) return moat_judge_tcp6(table, limit, frame, at, end, v);
    __u32 extension = moat_is_ipv6_extension(next);
    if (!extension && next != MOAT_IPV6_FRAGMENT) return MOAT_NOT_GUARDED;

    if (i == MOAT_MAX_IPV6_HEADERS) return MOAT_IPV6; /* one more than anyone needs */
    if (at + 8 > end || moat_gather(frame, at, header, 8)) return MOAT_IPV6;
    __u32 length = (header[1] + 1) * 8u;
    if (next == MOAT_IPV6_AUTHENTICATION) length = (header[1] + 2) * 4u;
    next = header[0];
    if (!extension) {
      __u32 field = moat_be16(header + 2);
      length = 8;
      fragmented |= field & 1;
      if (field & 0xfff8) /* a later fragment: what it is part of, only the first one shows */
        return next == MOAT_IP_TCP || next == MOAT_IPV6_FRAGMENT || moat_is_ipv6_extension(next)
                   ? MOAT_IPV6
                   : MOAT_NOT_GUARDED;
    }
    at += length;
    moat_forget(at, frame->length); /* or the verifier would follow every length there can be */
  }
  return MOAT_IPV6;
}

/* Fills in what follows from the reason: drop or not, by whose mode, counted where. */
static __always_inline void moat_settle(const struct moat_table* table, __u32 reason,
                                        struct moat_verdict* v) {
  __u32 database = v->database;
  barrier_var(database);
  if (database >= MOAT_DB_NUMBERS) database = 0;
  __u32 drops = (moat_drop_reasons >> reason) & 1;
  v->reason = (__u8)reason;
  v->owner = table->db[database].owner;
  v->monitored = (__u8)(drops & table->db[database].monitor);
  v->drop = (__u8)(drops & !v->monitored);
  if (reason != MOAT_ALLOWED) v->slot = MOAT_OUTCOME_SLOT(v->owner, v->monitored, reason);
}

/* The verdict on an IP packet that begins at v->l3, the rest of *v being zero but for the VLAN. */
static __always_inline void moat_judge_packet(const struct moat_table* table, __u32 limit,
                                              const struct moat_frame* frame, __u32 type,
                                              struct moat_verdict* v) {
  __u32 reason = MOAT_NOT_IP;
  struct moat_ipv4 ip;
  v->bytes = frame->length;
  if (type == MOAT_ETH_IPV4) {
    reason = moat_parse_ipv4(frame, v->l3, &ip);
    if (reason == MOAT_UNDECIDED)
      reason = moat_judge_ipv4(table, limit, frame, &ip, MOAT_SOURCE, v);
  } else if (type == MOAT_ETH_IPV6) {
    reason = moat_judge_ipv6(table, limit, frame, v);
  }
  moat_settle(table, reason, v);
}

/*
 * The verdict on a frame. `limit` is the size of the memory that holds the table, at least
 * table->size; a constant where the verifier looks on. Writes all of *v. In the
 * kernel frame->length is set only when it is needed, and not for a plain packet: asking for it
 * takes a third of the time of all the rest.
 */
static __always_inline void moat_judge_frame(const struct moat_table* table, __u32 limit,
                                             struct moat_frame* frame, struct moat_verdict* v) {
  struct moat_link link;
  struct moat_ipv4 ip;

  __builtin_memset(v, 0, sizeof *v);
  if (moat_parse_plain(frame, &ip)) {
    v->l3 = 14;
    moat_settle(table, moat_judge_ipv4(table, limit, frame, &ip, MOAT_SOURCE, v), v);
    return;
  }
  moat_measure(frame);
  moat_parse_link(frame, &link);
  v->l3 = link.l3;
  moat_forget(v->l3, frame->length); /* one way on for the verifier, however many tags there were */
  v->vlan = link.vlan;
  v->bytes = frame->length;
  if (link.too_deep)
    moat_settle(table, MOAT_VLAN_DEPTH, v);
  else if (link.cut)
    moat_settle(table, MOAT_MALFORMED, v);
  else
    moat_judge_packet(table, limit, frame, link.type, v);
}

#endif /* MOAT_VERDICT_H */
