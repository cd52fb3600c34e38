// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// What feed.cpp and the program that it loads have in common.
#pragma once

#include <linux/types.h>

#define FEED_SOURCES (1u << 20)

// Of the frame: Ethernet, IPv4 without options, TCP.
#define FEED_FRAME_BYTES 60
#define FEED_IP_CHECK 24
#define FEED_IP_SOURCE 26
#define FEED_IP_DESTINATION 30
#define FEED_TCP_PORT 36
#define FEED_TCP_CHECK 50

// As they stand in the frame.
struct feed_source {
  __u32 address;
  __u16 ip_check;
  __u16 tcp_check;
};
