/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What several programs read of the kernel's structures, and whether they may. */
#ifndef MOAT_KERNEL_TYPES_H
#define MOAT_KERNEL_TYPES_H

#include <linux/types.h>

/* Set before loading: whether this kernel lets programs read its memory; under lockdown it may not.
 */
const volatile __u8 can_read_kernel = 1;

/* The loader fills in the offsets of the running kernel. */
struct net_device {
  int ifindex;
  char name[16];
  unsigned short type;
  const unsigned char* dev_addr;
} __attribute__((preserve_access_index));

#endif /* MOAT_KERNEL_TYPES_H */
