// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/fast_path_settings.h"

#include <gtest/gtest.h>

namespace moat {
namespace {

TEST(FastPathSettingsTest, AnInterfaceIsFoundInADevice) {
  EXPECT_EQ(interface_of("net_af_packet0,iface=eth1"), "eth1");
  EXPECT_EQ(interface_of("net_af_xdp0,queue_count=2,iface=enp3s0,start_queue=0"), "enp3s0");
  EXPECT_EQ(interface_of("net_pcap0,rx_pcap=file"), "");
  EXPECT_EQ(interface_of("net_null0"), "");
  EXPECT_EQ(interface_of("ffff:ff:1f.7"), "");  // no such device
}

TEST(FastPathSettingsTest, APciAddressIsTold) {
  EXPECT_TRUE(is_pci("0000:3b:00.0"));
  EXPECT_TRUE(is_pci("0000:3B:00.1,representor=[0]"));
  EXPECT_FALSE(is_pci("3b:00.0"));
  EXPECT_FALSE(is_pci("0000:3b:00:0"));
  EXPECT_FALSE(is_pci("net_af_xdp0,iface=eth1"));
  EXPECT_FALSE(is_pci(""));
}

}  // namespace
}  // namespace moat
