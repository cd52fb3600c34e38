// SPDX-License-Identifier: BSD-2-Clause
// A packet judged as if it were from and for somewhere else than it says: as it was before NAT.
#include <gtest/gtest.h>

#include <array>

#include "bpf/verdict.h"
#include "control/enforce/compile.h"
#include "tests/support/policies.h"

namespace moat {
namespace {

constexpr Address kHost{0xc6120005}, kListed{0xc6336419}, kUnlisted{0xc6130042};
constexpr Address kLoopback{0x7f000001};

// Port 5432 of one address guarded.
Table guarded_table() {
  Policy policy;
  Database database;
  database.id = "db0";
  database.endpoint.address = kHost;
  database.endpoint.ports = {5432};
  Rule rule;
  rule.cidr = Prefix{kListed, 32};
  database.rules = {rule};
  derive_rule_ids(database);
  policy.databases.push_back(database);
  return compile(policy, testing::plain_slots(policy), ClockPair{testing::kNow, 1}, 1).value();
}

void put16(std::uint8_t* at, unsigned value) {
  at[0] = static_cast<std::uint8_t>(value >> 8);
  at[1] = static_cast<std::uint8_t>(value);
}
void put32(std::uint8_t* at, std::uint32_t value) {
  put16(at, value >> 16);
  put16(at + 2, value & 0xffff);
}

// IPv4 and TCP, without a link header.
std::array<std::uint8_t, 40> packet_from(Address source, Address destination, unsigned port) {
  std::array<std::uint8_t, 40> packet = {0x45};
  put16(&packet[2], packet.size());
  packet[9] = MOAT_IP_TCP;
  put32(&packet[12], source.value);
  put32(&packet[16], destination.value);
  put16(&packet[22], port);
  packet[32] = 0x50;
  return packet;
}

struct Wire {
  Address source{};
  Address address{};
  std::uint32_t port = 0;
};

moat_verdict judge_as(const Wire& wire, Address source, Address destination, unsigned port) {
  const Table table = guarded_table();
  const auto packet = packet_from(source, destination, port);
  moat_frame frame = {};
  frame.data = packet.data();
  frame.end = packet.data() + packet.size();
  frame.length = packet.size();
  frame.source = wire.source.to_network();
  frame.address = wire.address.to_network();
  frame.port = wire.port;
  moat_verdict verdict = {};
  moat_judge_packet(&table.header(), table.header().size, &frame, MOAT_ETH_IPV4, &verdict);
  return verdict;
}

TEST(Overrides, AreThePacketsOwnWhereNotGiven) {
  EXPECT_EQ(judge_as({}, kListed, kHost, 5432).reason, MOAT_ALLOWED);
  EXPECT_EQ(judge_as({}, kUnlisted, kHost, 5432).reason, MOAT_NO_RULE);
}

TEST(Overrides, TheSourceOnTheWireDecides) {
  EXPECT_EQ(judge_as({.source = kUnlisted}, kListed, kHost, 5432).reason, MOAT_NO_RULE);
  EXPECT_EQ(judge_as({.source = kListed}, kUnlisted, kHost, 5432).reason, MOAT_ALLOWED);
}

TEST(Overrides, ASourceThatIsNoClientsIsOneOnTheWireToo) {
  EXPECT_EQ(judge_as({.source = kLoopback}, kListed, kHost, 5432).reason, MOAT_MARTIAN);
  EXPECT_EQ(judge_as({.source = kListed}, kLoopback, kHost, 5432).reason, MOAT_ALLOWED);
}

TEST(Overrides, TheDestinationOnTheWireIsGuarded) {
  const Wire redirected = {.source = kUnlisted, .address = kHost, .port = 5432};
  EXPECT_EQ(judge_as({.source = kUnlisted}, kListed, kLoopback, 6432).reason, MOAT_NOT_GUARDED);
  EXPECT_EQ(judge_as(redirected, kListed, kLoopback, 6432).reason, MOAT_NO_RULE);
}

}  // namespace
}  // namespace moat
