/* SPDX-License-Identifier: BSD-2-Clause */
/* What sessions.bpf.c tells of a TCP socket. Plain C that is also valid C++. */
#ifndef MOAT_SESSIONS_H
#define MOAT_SESSIONS_H

#include <linux/types.h>

struct moat_arrival {
  __u64 cookie;  /* of the socket, as sock_diag has it */
  __u32 ifindex; /* of the interface by which its latest packet came in */
  __u32 padding; /* 0 */
};

#endif /* MOAT_SESSIONS_H */
