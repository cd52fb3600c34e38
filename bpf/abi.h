/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one description of everything that crosses between the daemon and the packet path: the table
 * of a compiled policy, the counters, the drop events. Plain C that is also valid C++.
 *
 * THE TABLE is one contiguous block that holds a generation. Offsets are bytes from its start,
 * numbers are in host byte order unless typed __be. The same bytes serve as the value of a BPF
 * array map, in a sealed memfd and in a file.
 *
 *   +--------------------+ 0
 *   | moat_table         |  header, databases, address hash, which port page
 *   +--------------------+ pages_offset
 *   | port pages         |  u16[256] each: port -> port row; page 0 is all "not guarded"
 *   +--------------------+ endpoints_offset
 *   | endpoints          |  u8[address rows][endpoint_stride]: (address row, port row) -> database;
 *   |                    |  port row 0, of all ports else, has one in the IPv6 row alone
 *   +--------------------+ classes_offset
 *   | classes            |  u16[classes][databases]: (source class, database) -> verdict entry
 *   +--------------------+ timed_offset
 *   | timed entries      |  moat_timed[]: entries that end at a deadline
 *   +--------------------+ tops_offset
 *   | top entries        |  u64[2^top_bits]: what the first bits of a source lead to
 *   +--------------------+ trees_offset
 *   | trees              |  packed B+-trees over the /24s below a top entry (see bpf/lookup.h)
 *   +--------------------+ leaves_offset
 *   | leaves             |  moat_leaf[]: the ranges of one /24 that is divided
 *   +--------------------+ size
 */
#ifndef MOAT_ABI_H
#define MOAT_ABI_H

#include <linux/types.h>

#define MOAT_MAGIC 0x4d4f4154u /* "MOAT" */
#define MOAT_ABI 3u            /* changes with any line of this file that moves a byte */

/* Limits of a policy. */
#define MOAT_MAX_DATABASES 64
#define MOAT_MAX_RULES 30
#define MOAT_MAX_PEERINGS 16 /* registered; a rule lets one in */
#define MOAT_MAX_PORTS 16

/* Limits of a packet walk. */
#define MOAT_MAX_VLANS 4
#define MOAT_MAX_IPV6_HEADERS 8

/*
 * Why a packet got its verdict. X(name, text, drops): the enum, the JSON, the metrics and the tests
 * all come from this list. The order is part of the ABI; at most MOAT_REASONS.
 */
#define MOAT_REASON_LIST(X)          \
  X(NOT_IP, "not-ip", 0)             \
  X(NOT_GUARDED, "not-guarded", 0)   \
  X(ALLOWED, "allowed", 0)           \
  X(EXEMPT, "exempt", 0)             \
  X(VLAN_DEPTH, "vlan-depth", 1)     \
  X(MALFORMED, "malformed", 1)       \
  X(FRAGMENT, "fragment", 1)         \
  X(SOURCE_ROUTE, "source-route", 1) \
  X(MARTIAN, "martian", 1)           \
  X(NO_RULE, "no-rule", 1)           \
  X(IPV6, "ipv6", 1)                 \
  X(BACKSTOP, "backstop", 1)

enum moat_reason {
#define MOAT_X(name, text, drops) MOAT_##name,
  MOAT_REASON_LIST(MOAT_X)
#undef MOAT_X
};
#define MOAT_REASONS 16 /* slots kept for reasons, so that one more moves no counter */

/*
 * COUNTERS: one per-CPU array of moat_counter by slot, outside the table, kept over generations and
 * restarts. By each program that judges it a packet adds to one slot at most; the backstop leaves
 * out what the program on the NIC has counted.
 *
 *   0                          drops, counted by their reason, that were not told besides, as the
 *                              ring was full (see moat_drop)
 *   1 .. MOAT_RULE_SLOTS-1     a rule that let it pass (the daemon hands these out)
 *   MOAT_OUTCOME_SLOT(o,m,r)   anything else: owner o (0 the host, else a database's slot 1..64),
 *                              m whether monitor mode let a drop pass, r the reason
 */
struct moat_counter {
  __u64 packets;
  __u64 bytes; /* from the Ethernet header to the packet's end: padding is none of it */
};
#define MOAT_LOST_DROPS_SLOT 0
#define MOAT_RULE_SLOTS 4096
#define MOAT_OUTCOME_SLOT(owner, monitored, reason) \
  (MOAT_RULE_SLOTS + (((owner) * 2 + (monitored)) * MOAT_REASONS + (reason)))
#define MOAT_COUNTER_SLOTS MOAT_OUTCOME_SLOT(MOAT_MAX_DATABASES + 1, 0, 0)

/*
 * VERDICT ENTRIES, u16: what a source class means for a database.
 *   0                     not allowed
 *   1..MOAT_RULE_SLOTS-1  allowed for ever; the slot that counts it
 *   MOAT_TIMED | i        see timed entry i
 */
#define MOAT_TIMED 0x8000u
#define MOAT_MAX_TIMED 0x8000u

/* Allowed until `deadline`; from then on what `next`, another verdict entry, says. */
struct moat_timed {
  __u64 deadline; /* CLOCK_MONOTONIC, ns; coarse clock */
  __u16 slot;     /* 1..MOAT_RULE_SLOTS-1 */
  __u16 next;
  __u32 reserved;
};
/* A source matches at most this many rules of one database: those of a file, and those that stand
 * for the net peerings of a state from before they needed a rule. */
#define MOAT_MAX_CHAIN (MOAT_MAX_RULES + MOAT_MAX_PEERINGS)

/*
 * What a database number 1..64 of this table stands for. Number 0 is the host: its mode is that of
 * drops before the database is known: to enforce if one database does. Two numbers more stand in
 * the IPv6 row of the endpoints, for ports that several databases guard: the host counts for them,
 * and they enforce if one of those does.
 */
#define MOAT_SEVERAL_ENFORCED (MOAT_MAX_DATABASES + 1)
#define MOAT_SEVERAL_MONITORED (MOAT_MAX_DATABASES + 2)
#define MOAT_DB_NUMBERS (MOAT_MAX_DATABASES + 3)
struct moat_db {
  __u8 owner;   /* of counter slots: 0 the host, else 1..64, stable over generations */
  __u8 monitor; /* drops are counted and passed */
  __u8 reserved[2];
};

/* A guarded address. The hash has no collisions: see moat_address_hash(). */
struct moat_address {
  __be32 address; /* 0 in an empty place */
  __u8 row;       /* address row 1..64; 0 in an empty place */
  __u8 all;       /* number of the database that has `ports: all` here, or 0 */
  __u8 reserved[2];
};
#define MOAT_ADDRESS_BITS 9

/*
 * THE SOURCE TABLE; bpf/lookup.h says how it is read.
 *
 * The lower half of a top entry is a source class, or with MOAT_TREE set a reference to a tree: its
 * depth from MOAT_DEPTH_SHIFT on, below that its place from trees_offset in units of 16 bytes. The
 * upper half is the number of the first leaf of that tree's /24s.
 */
#define MOAT_TREE 0x80000000u
#define MOAT_DEPTH_SHIFT 28
#define MOAT_MAX_DEPTH 5
#define MOAT_TREE_MASK 0x0fffffffu
#define MOAT_MIN_TOP_BITS 9
#define MOAT_MAX_TOP_BITS 13

/*
 * Four ranges: where each begins, and what it is; lane i of a word is in bits 16 i and up. In a
 * tree over /24s a value is a source class, or with MOAT_DIVIDED set the /24's leaf, counted from
 * the first one of the tree.
 */
struct moat_leaf {
  __u64 keys;   /* of a /24 with more than four ranges lane 0, which is 0 otherwise, is not, ... */
  __u64 values; /* ... and this is the reference to its tree */
};
#define MOAT_DIVIDED 0x8000u
#define MOAT_MAX_CLASSES 0x8000u

/* Table flags. */
#define MOAT_ANY_ADDRESS 1u  /* some endpoint has no address: every IPv4 destination is guarded */
#define MOAT_SOME_ADDRESS 2u /* some endpoint has an address: the hash is worth asking */
#define MOAT_SOME_PORT 4u    /* some port is guarded on IPv6 */

struct moat_table {
  __u32 magic;
  __u32 abi;
  __u64 generation;
  __u64 digest; /* of the whole table with this field zero: moat::table_digest() */
  __u32 size;   /* bytes, a multiple of 16 */
  __u32 flags;
  __u32 databases; /* 0..64: width of a class */
  __u32 classes;   /* class 0 is "nobody" */
  __u32 pages_offset;
  __u32 endpoints_offset;
  __u32 endpoint_stride;
  __u32 ipv6_row; /* address row that answers for IPv6 destinations */
  __u32 classes_offset;
  __u32 timed_offset;
  __u32 timed;              /* how many */
  __u32 address_multiplier; /* odd */
  __u32 tops_offset;
  __u32 top_bits; /* MOAT_MIN_TOP_BITS to MOAT_MAX_TOP_BITS */
  __u32 trees_offset;
  __u32 leaves_offset;
  __u32 prefixes; /* how many prefixes the policy named, for people */
  struct moat_db db[MOAT_DB_NUMBERS];
  __u32 reserved[2];
  struct moat_address address[1u << MOAT_ADDRESS_BITS];
  __u16 page[256];
};

/*
 * AN EXAMPLE in four steps. tests/unit/bpf/abi_test.cpp builds it, and holds each number.
 *
 * 1. The policy: one database, number 1, on port 5432 of every address. Its rules are
 *
 *      198.51.100.25/32   counted in slot 1
 *      203.0.113.0/24     counted in slot 2
 *
 * 2. Its ranges. A new one begins where another source class does; a class has one verdict entry
 *    a database:
 *
 *      0.0.0.0         class 0   entry 0: not allowed
 *      198.51.100.25   class 1   entry 1: allowed, slot 1
 *      198.51.100.26   class 0
 *      203.0.113.0     class 2   entry 2: allowed, slot 2
 *      203.0.114.0     class 0
 *
 * 3. Its table: databases 1, classes 3, top_bits 9, endpoint_stride 2, ipv6_row 1. Where nothing
 *    is shown it is zero; 5432 is 21 * 256 + 56, and the fourth key of each leaf is unused.
 *
 *          0  moat_table   page[21] = 1
 *       4976  port pages   page 1: [56] = 1, the port row
 *       6000  endpoints    0 1   any address: port row 1 is that of database 1
 *                          0 1   IPv6: likewise
 *       6016  classes      0 1 2
 *       6032  timed        (none)
 *       6032  top entries  [396] = 0x00000000'80000000   tree at place 0; its first leaf is 0
 *                          [406] = 0x00000001'80000001   tree at place 1; it has no leaf
 *      10128  trees        place 0: keys 0 0x3364 0x3365   values 0 (MOAT_DIVIDED | 0) 0
 *                          place 1: keys 0 0x0071 0x0072   values 0 2 0
 *      10160  leaves       leaf 0:  keys 0 0x0019 0x001a   values 0 1 0
 *      10176  (the end)
 *
 * 4. The lookup of 198.51.100.25, which is 0xc6336419:
 *
 *      first 9 bits   396      top entry 396: a tree of depth 0, at place 0
 *      next 15 bits   0x3364   two keys are at most that: the second value, so leaf 0 + 0
 *      last 8 bits    0x19     two keys are at most that: the second value, class 1
 *      class 1, database 1     6016 + (1 * 1 + 1 - 1) * 2: entry 1, allowed, slot 1
 */

/*
 * SIZE TIERS: a table lives in the smallest inner map that holds it. One outer map of one slot for
 * each tier; the packet path takes the first tier, from the smallest, that is occupied.
 */
#define MOAT_TIERS 3
#define MOAT_TIER_SMALL (512u << 10)
#define MOAT_TIER_MEDIUM (4u << 20)
#define MOAT_TIER_LARGE (64u << 20)

/*
 * THE CLOSED TABLE: a table of the live one's endpoints that allows nobody. It answers while every
 * slot is empty although a table was live once, which only somebody's hand can bring about. All
 * zero before the first commit.
 */
#define MOAT_CLOSED_BYTES (256u << 10) /* of its map's value; the most endpoints take 210 KiB */

/*
 * INTERFACES, by ifindex, for the backstop. The kernel gives the number of an interface that is
 * gone to another one, so trust holds only for the interface that has the name as well.
 */
struct moat_interface {
  __u32 flags;
  char name[16]; /* IFNAMSIZ: as the kernel has it, zeros after its end */
};
#define MOAT_INTERFACE_TRUSTED 1u /* nothing from it is judged: lo, a bridge to containers */
#define MOAT_INTERFACE_XDP 2u     /* the XDP program saw and counted what comes from it */
#define MOAT_MAX_INTERFACES (1u << 16)

/* Both ends of a packet, in network order; IPv4 in the first word, the rest of it zero. */
struct moat_ends {
  __be32 source[4];
  __be32 destination[4];
  __be16 source_port;
  __be16 destination_port;
};

/* WIRES: what was on the wire of a packet, noted for the backstop's program at sockets (wire.h). */
struct moat_wire {
  __u64 packet;             /* whose note this is: where its struct sk_buff is */
  __be32 source;            /* IPv4; 0: the packet's own */
  __be32 address;           /* IPv4 destination } where NAT changed either; */
  __u16 port;               /* host byte order  } else 0 both */
  __u8 is_redirected;       /* NAT did */
  __u8 is_unseen;           /* no program on its NIC has seen it */
  __u8 is_counted;          /* the program before sockets has counted that it passes */
  __u8 is_redirected_by_tc; /* to its NIC from another */
  __u8 has_ends;
  struct moat_ends ends; /* if it has: of what came by lo, as its sender has them, before NAT */
};

/*
 * A drop, as told to whoever listens on the ring buffer. Not each is told: see bpf/drop_events.h.
 * Those that were not are in the numbers of a later event.
 */
struct moat_drop {
  __u64 time;      /* CLOCK_MONOTONIC, ns */
  __u32 ifindex;   /* where it came in */
  __u32 bytes;     /* of the frame */
  __u8 source[16]; /* IPv6, or IPv4 in the first four bytes; network order */
  __be16 port;     /* destination, 0 where there is none */
  __u16 vlan;      /* TCI of the outermost tag, 0 without */
  __u8 family;     /* 4, 6, or 0 where no address was read */
  __u8 reason;     /* enum moat_reason */
  __u8 owner;      /* 0 the host, else the database's slot */
  __u8 monitored;  /* counted as a drop but passed */
  __u32 packets;   /* like this one since it was last told, itself among them: at least 1 */
  __u32 reserved;
};

#define MOAT_DROP_RING (256u << 10) /* bytes */

/* What a source may still be told of, on one CPU; its place goes by hash, see bpf/source_hash.h. */
struct moat_source_allowance {
  __u64 granted;    /* the jiffy up to which events were granted */
  __u32 mark;       /* of the source that was told of last */
  __u32 suppressed; /* drops of that source since */
};
#define MOAT_SOURCE_BITS 10
#define MOAT_SOURCES (1u << MOAT_SOURCE_BITS)

/* How often drops are told, here and in dataplane/dpdk alike: see bpf/drop_events.h. */
#define MOAT_KINDS (MOAT_COUNTER_SLOTS - MOAT_RULE_SLOTS) /* outcome slots, from the first */
#define MOAT_KIND_BURST 64                                /* events, and jiffies */
#define MOAT_SOURCE_PACE 256                              /* jiffies an event */
#define MOAT_SOURCE_BURST 8                               /* events */
#define MOAT_SOURCE_SPARE 4 /* events more for who finds another one's mark */

#endif /* MOAT_ABI_H */
