// SPDX-License-Identifier: BSD-2-Clause
#include "control/policy/coverage.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace moat {
namespace {

Prefixes prefixes(const std::vector<std::string>& texts) {
  Prefixes all;
  for (const auto& text : texts) all.push_back(parse_prefix(text).value());
  return all;
}

TEST(Coverage, CountsEachAddressOnceAndNoMartians) {
  EXPECT_EQ(count_client_addresses({}), 0u);
  EXPECT_EQ(count_client_addresses(prefixes({"192.0.2.0/24", "192.0.2.7/32", "192.0.2.0/24"})),
            256u);
  EXPECT_EQ(count_client_addresses(prefixes({"10.0.0.0/8", "9.0.0.0/8"})), 2u << 24);
  EXPECT_EQ(count_client_addresses(prefixes({"252.0.0.0/10", "127.0.0.1/32", "0.0.0.0/8"})), 0u);
  EXPECT_EQ(count_client_addresses(prefixes({"126.0.0.0/7"})), 1u << 24);
}

TEST(Coverage, KnowsEveryAddressHoweverItIsWritten) {
  EXPECT_EQ(count_client_addresses(prefixes({"0.0.0.0/0"})), kClientAddresses);
  EXPECT_EQ(count_client_addresses(prefixes({"128.0.0.0/1", "0.0.0.0/1"})), kClientAddresses);
  EXPECT_EQ(
      count_client_addresses(prefixes({"0.0.0.0/2", "64.0.0.0/2", "128.0.0.0/2", "192.0.0.0/3"})),
      kClientAddresses);
  EXPECT_LT(count_client_addresses(prefixes({"0.0.0.0/2", "64.0.0.0/2", "128.0.0.0/2"})),
            kClientAddresses);
}

TEST(Coverage, IsOfAllRulesOfADatabaseThatHoldAtThatTime) {
  Policy policy;
  policy.ranges["mr-low"] = {
      "mr-low", "", std::make_shared<const Prefixes>(prefixes({"0.0.0.0/1"})), {}};
  Database database;
  database.id = "orders";
  database.rules.push_back({"r-1", std::nullopt, "mr-low", "", "", std::nullopt, {}});
  database.rules.push_back(
      {"r-2", std::nullopt, "", "pcx-high", "", parse_time("2027-01-01T00:00:00Z").value(), {}});
  database.peerings = {{"pcx-high", parse_prefix("128.0.0.0/1").value(), "", "", {}}};
  const auto before = parse_time("2026-12-31T00:00:00Z").value();
  const auto after = parse_time("2027-01-02T00:00:00Z").value();
  EXPECT_EQ(wide_coverage(policy, database, before), kClientAddresses);
  EXPECT_EQ(wide_coverage(policy, database, after), std::uint64_t{126} << 24);
  database.rules.erase(database.rules.begin());
  EXPECT_EQ(wide_coverage(policy, database, after), std::nullopt);
  EXPECT_FALSE(lets_nobody_in(policy, database, before));
  EXPECT_TRUE(lets_nobody_in(policy, database, after));
}

}  // namespace
}  // namespace moat
