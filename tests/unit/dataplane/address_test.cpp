// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/address.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <optional>
#include <type_traits>

namespace moat {
namespace {

static_assert(!std::is_convertible_v<std::uint32_t, Address>);
static_assert(!std::is_convertible_v<Address, std::uint32_t>);

Address6 ipv6(const char* text) { return parse_address6(text).value(); }

TEST(Address, TurnsToNetworkOrderAndBack) {
  const std::array<std::uint8_t, 4> wire = {192, 0, 2, 1};
  const Address address(0xc0000201);
  EXPECT_EQ(address.to_network(), std::bit_cast<__be32>(wire));
  EXPECT_EQ(Address::from_network(std::bit_cast<__be32>(wire)), address);
}

TEST(Address, SortsAsItsNumberDoes) {
  EXPECT_LT(Address(0x7fffffff), Address(0x80000000));
  EXPECT_LT(Address(0x01000002), Address(0x02000001));
}

TEST(Address, IsWrittenAsItsOctets) {
  EXPECT_EQ(format_address(Address{}), "0.0.0.0");
  EXPECT_EQ(format_address(Address(0xc0000201)), "192.0.2.1");
  EXPECT_EQ(format_address(Address(0xffffffff)), "255.255.255.255");
}

TEST(Address, IsLoopbackByItsFirstOctet) {
  EXPECT_TRUE(is_loopback(Address(0x7f000001)));
  EXPECT_TRUE(is_loopback(Address(0x7fffffff)));
  EXPECT_FALSE(is_loopback(Address(0x7effffff)));
  EXPECT_FALSE(is_loopback(Address(0x80000000)));
}

TEST(Address6, IsReadAndWrittenInTheShortWay) {
  EXPECT_EQ(format_address(ipv6("2001:DB8:0:0::9")), "2001:db8::9");
  EXPECT_EQ(format_address(Address6{}), "::");
  for (const auto* none : {"", "192.0.2.1", "2001:db8::9/128", " ::1", "fe80::1%eth0", "1::2::3"})
    EXPECT_FALSE(parse_address6(none)) << none;
}

TEST(Address6, IsLoopbackAloneAsOne) {
  EXPECT_TRUE(is_loopback(ipv6("::1")));
  EXPECT_FALSE(is_loopback(ipv6("::")));
  EXPECT_FALSE(is_loopback(ipv6("::ffff:127.0.0.1")));
}

TEST(Address6, StandsForAnIpv4AddressWhereItIsMapped) {
  EXPECT_EQ(mapped_ipv4(ipv6("::ffff:192.0.2.1")), Address(0xc0000201));
  EXPECT_EQ(mapped_ipv4(ipv6("::192.0.2.1")), std::nullopt);
  EXPECT_EQ(mapped_ipv4(ipv6("64:ff9b::192.0.2.1")), std::nullopt);
}

}  // namespace
}  // namespace moat
