// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/held_addresses.h"

#include <gtest/gtest.h>

namespace moat {
namespace {

using namespace std::chrono_literals;

const HeldAddresses::Time start = std::chrono::sys_days(std::chrono::year(2026) / 11 / 26);

std::vector<Address> addresses(unsigned first, unsigned count) {
  std::vector<Address> all;
  for (unsigned i = 0; i < count; ++i) all.emplace_back(0xc6120000U + first + i);
  return all;
}

TEST(HeldAddresses, RoundRobinDoesNotFlap) {
  HeldAddresses held(1h);
  for (unsigned minute = 0; minute < 180; ++minute) {
    held.add(addresses(4 * (minute % 3), 4), start + std::chrono::minutes(minute));
    if (minute >= 2) {
      EXPECT_EQ(held.prefixes().size(), 12U) << minute;
    }
  }
}

TEST(HeldAddresses, AnAddressGoesOnceItsTimeIsOver) {
  HeldAddresses held(1h);
  held.add(addresses(1, 2), start);
  held.add(addresses(2, 1), start + 1h);
  EXPECT_EQ(held.prefixes().size(), 2U);
  held.add(addresses(2, 1), start + 1h + 1s);
  EXPECT_EQ(held.prefixes(), (Prefixes{{Address(0xc6120002U), 32}}));
}

TEST(HeldAddresses, AClockThatWasSetBackKeepsNothingForever) {
  HeldAddresses held(1h);
  held.add(addresses(1, 1), start + 24h);
  held.add(addresses(2, 1), start);
  EXPECT_EQ(held.prefixes(), (Prefixes{{Address(0xc6120002U), 32}}));
}

TEST(HeldAddresses, TheLatestStayWhereThereAreTooMany) {
  HeldAddresses held(1h);
  held.add(addresses(0, 60), start);
  held.add(addresses(100, 10), start + 1s);
  const auto prefixes = held.prefixes();
  EXPECT_EQ(prefixes.size(), HeldAddresses::max_addresses);
  EXPECT_EQ(prefixes.back().address, Address(0xc6120000U + 109));
}

}  // namespace
}  // namespace moat
