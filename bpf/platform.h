/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What differs between the kernel and a process, so that nothing else does: how bytes are loaded,
 * where the time comes from, and how bytes beyond a frame's first buffer are fetched.
 */
#ifndef MOAT_PLATFORM_H
#define MOAT_PLATFORM_H

#include "bpf/abi.h"

/* A frame as the packet path sees it. */
struct moat_frame {
  const __u8* data; /* first buffer */
  const __u8* end;  /* one past its last byte */
  __u32 length;     /* of the whole frame, all buffers */
  void* context;    /* whom to ask for bytes beyond the first buffer; may be null */
  __u32 port;       /* to judge it by, host byte order; 0: the one that TCP names */
  __be32 address;   /* to judge it by; 0: the IPv4 destination */
  __be32 source;    /* to judge it by; 0: the IPv4 source */
  __u8 is_tcp;      /* TCP to `port`, though its header says something else */
  __u64 now;        /* 0: ask the clock when it is needed. Else CLOCK_MONOTONIC in ns. Host only. */
};

#ifdef __bpf__

#include <bpf/bpf_helpers.h>

/* Each including program defines how its context yields bytes: 0, or a negative error. */
static __always_inline long moat_fetch(void* context, __u32 offset, void* to, __u32 bytes);
/* And how it learns frame->length, where that is not known from the start. */
static __always_inline void moat_measure(struct moat_frame* frame);

#ifndef MOAT_CLOCK
#define MOAT_CLOCK bpf_ktime_get_coarse_ns
#endif
static __always_inline __u64 moat_clock(const struct moat_frame* frame) {
  (void)frame;
  return MOAT_CLOCK();
}

/* A function that the verifier looks at on its own. */
#define MOAT_FUNCTION __attribute__((noinline))

/*
 * HELPING THE VERIFIER. It follows values as the compiler left them, and the compiler knows more
 * than it does. What is checked here has to be checked in the instructions as well, on the oldest
 * kernel and by every compiler, so each way to see to that is one of these. libbpf's barrier_var()
 * keeps the compiler from checking one copy of a value and using another: its knowledge of the
 * value ends there. The verifier's ends at moat_forget().
 */

/* Leaves `value` as it is while the verifier stops knowing it; `any` is a value it does not know.
 */
#define moat_forget(value, any)       \
  do {                                \
    __u32 some = (any), none = ~some; \
    barrier_var(some);                \
    barrier_var(none);                \
    (value) ^= some & none;           \
  } while (0)

#define moat_load_u16(p) (*(const __u16*)(p))
#define moat_load_u32(p) (*(const __u32*)(p))
#define moat_load_u64(p) (*(const __u64*)(p))

#else /* a process */

#include <time.h>

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

/* Gathers bytes of a frame in several buffers; the owner of `context` provides it, or leaves it. */
typedef long (*moat_fetch_fn)(void* context, __u32 offset, void* to, __u32 bytes);

static __always_inline long moat_fetch(void* context, __u32 offset, void* to, __u32 bytes) {
  return context ? (*(moat_fetch_fn*)context)(context, offset, to, bytes) : -1;
}

static __always_inline __u64 moat_clock(const struct moat_frame* frame) {
  struct timespec now;
  if (frame->now) return frame->now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return (__u64)now.tv_sec * 1000000000ull + (__u64)now.tv_nsec;
}

static __always_inline void moat_measure(struct moat_frame* frame) { (void)frame; }

#define MOAT_FUNCTION static inline
#define barrier_var(value) ((void)(value))
#define moat_forget(value, any) ((void)(value))

static __always_inline __u16 moat_load_u16(const void* p) {
  __u16 value;
  __builtin_memcpy(&value, p, sizeof value);
  return value;
}
static __always_inline __u32 moat_load_u32(const void* p) {
  __u32 value;
  __builtin_memcpy(&value, p, sizeof value);
  return value;
}
static __always_inline __u64 moat_load_u64(const void* p) {
  __u64 value;
  __builtin_memcpy(&value, p, sizeof value);
  return value;
}

#endif

/*
 * `value & mask`, to bound an index. A bare mask goes where the compiler can show that it changes
 * nothing: of the upper byte of a 16-bit port, say, `& 0xff`. But before Linux 7 the verifier knows
 * nothing of a value whose bytes were swapped, so to it the index has no bound then.
 */
static __always_inline __u32 moat_masked(__u32 value, __u32 mask) {
  barrier_var(value);
  return value & mask;
}

/*
 * Whether *value is in 1..max; max is less than 64. To subtract first makes one comparison of both
 * limits: from "not 0" alone the verifier of Linux 6.1 learns nothing, and refuses a size that may
 * be zero. The mask tells it the limit again, which it loses in the addition.
 */
static __always_inline int moat_is_count(__u32* value, __u32 max) {
  __u32 last = *value - 1;
  barrier_var(last);
  if (last >= max) return 0;
  *value = moat_masked(last, 63) + 1;
  return 1;
}

/*
 * Whether `bytes` bytes at offset *at lie within the first `limit`. What was compared has to be
 * what is used: else the compiler may compare one sum and add up another.
 */
static __always_inline int moat_is_within(__u32* at, __u32 bytes, __u32 limit) {
  barrier_var(*at);
  return *at <= limit - bytes;
}

#define moat_be16(p) __builtin_bswap16(moat_load_u16(p))

#define moat_table_u8(table, at) (*((const __u8*)(table) + (at)))
#define moat_table_u16(table, at) moat_load_u16((const __u8*)(table) + (at))
#define moat_table_u32(table, at) moat_load_u32((const __u8*)(table) + (at))
#define moat_table_u64(table, at) moat_load_u64((const __u8*)(table) + (at))

#endif /* MOAT_PLATFORM_H */
