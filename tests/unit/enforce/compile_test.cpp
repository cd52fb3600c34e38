// SPDX-License-Identifier: BSD-2-Clause
// The compiled table against the oracle.
#include "control/enforce/compile.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <array>

#include "bpf/verdict.h"
#include "tests/support/policies.h"

namespace moat {
namespace {

using testing::kNow;

constexpr std::uint64_t kMonotonic = 5'000'000'000'000;
const ClockPair kClock{kNow, kMonotonic};

std::uint16_t expected_slot(const Policy& policy, const SlotMap& slots, const Database& database,
                            Address source, WallTime now) {
  const auto match = find_match(policy, database, source, now);
  if (!match) return 0;
  return slots.rule(database.id, match->rule->id);
}

Policy one_database(std::vector<Rule> rules) {
  Policy policy;
  Database database;
  database.id = "db0";
  database.endpoint.ports = {5432};
  database.rules = std::move(rules);
  derive_rule_ids(database);
  policy.databases.push_back(database);
  return policy;
}

Rule peering_rule(const char* peering) {
  Rule rule;
  rule.net_peering = peering;
  return rule;
}

Rule cidr_rule(const char* cidr, std::optional<WallTime> expires = {}) {
  Rule rule;
  rule.cidr = parse_prefix(cidr).value();
  rule.expires = expires;
  return rule;
}

std::uint32_t slot_at(const Policy& policy, const char* source, WallTime now) {
  const auto table = compile(policy, testing::plain_slots(policy), kClock, 1);
  EXPECT_TRUE(table);
  const auto later = std::chrono::nanoseconds(now - kNow).count();
  return entry_slot(*table, source_class(*table, parse_address(source).value()), 1,
                    kMonotonic + static_cast<std::uint64_t>(later));
}

// Nanoseconds since 1970 end on 2262-04-11T23:47:16Z, and people write 9999-12-31 for never.
TEST(Compile, AllowsUntilAnyTimeThatCanBeWritten) {
  for (const auto* expires :
       {"2262-04-11T23:47:16Z", "2262-04-11T23:47:17Z", "2262-04-12T00:00:00Z",
        "2500-01-01T00:00:00Z", "9999-12-31T23:59:59Z"}) {
    const auto policy = one_database({cidr_rule("203.0.113.7/32", parse_time(expires).value())});
    for (const auto years : {0, 10, 200}) {
      EXPECT_NE(slot_at(policy, "203.0.113.7", kNow + std::chrono::years(years)), 0u)
          << expires << ", after " << years << " years";
    }
  }
}

TEST(Compile, AgreesWithTheOracleOnRandomPolicies) {
  EXPECT_TRUE(rc::check("table == oracle at every border, at every time", [](std::uint64_t seed) {
    const Policy policy = testing::random_policy(seed);
    const SlotMap slots = testing::plain_slots(policy);
    const auto table = compile(policy, slots, kClock, 1);
    RC_ASSERT(table.has_value());
    testing::Random random(seed);
    for (const Address source : testing::interesting_sources(policy, random)) {
      const std::uint32_t cls = source_class(*table, source);
      for (const int later : {0, 3, 7, 14, 100}) {
        const WallTime now = kNow + std::chrono::seconds{later};
        const std::uint64_t then = kMonotonic + static_cast<std::uint64_t>(later) * 1'000'000'000;
        for (std::size_t d = 0; d < policy.databases.size(); d++) {
          const auto want = expected_slot(policy, slots, policy.databases[d], source, now);
          const auto got = entry_slot(*table, cls, static_cast<std::uint32_t>(d + 1), then);
          if (got != want) RC_LOG() << format_address(source) << " after " << later << " s";
          RC_ASSERT(got == want);
        }
      }
    }
  }));
}

TEST(Compile, AnEmptyPolicyAllowsNobody) {
  const Policy policy = one_database({});
  EXPECT_EQ(slot_at(policy, "192.0.2.1", kNow), 0u);
}

TEST(Compile, ANetPeeringNeedsARule) {
  Policy policy = one_database({cidr_rule("192.0.2.0/24")});
  auto& database = policy.databases[0];
  database.peerings = {{"pcx-1", parse_prefix("10.42.0.0/16").value(), "", "", {}}};
  EXPECT_EQ(slot_at(policy, "10.42.7.1", kNow), 0u) << "registered";
  database.rules.push_back(peering_rule("pcx-1"));
  derive_rule_ids(database);
  EXPECT_EQ(slot_at(policy, "10.42.7.1", kNow), 2u);
  database.rules[1].expires = kNow + std::chrono::seconds{10};
  EXPECT_EQ(slot_at(policy, "10.42.7.1", kNow + std::chrono::seconds{9}), 2u);
  EXPECT_EQ(slot_at(policy, "10.42.7.1", kNow + std::chrono::seconds{10}), 0u);
}

TEST(Compile, TheWholeAddressSpaceIsOneClass) {
  const Policy policy = one_database({cidr_rule("0.0.0.0/0")});
  for (const char* source : {"0.0.0.0", "127.255.255.255", "128.0.0.0", "255.255.255.255"})
    EXPECT_EQ(slot_at(policy, source, kNow), 1u) << source;
}

TEST(Compile, AnExpiryUncoversTheWiderRule) {
  const Policy policy = one_database(
      {cidr_rule("192.0.2.0/24"), cidr_rule("192.0.2.7/32", kNow + std::chrono::seconds{10})});
  EXPECT_EQ(slot_at(policy, "192.0.2.7", kNow), 2u);
  EXPECT_EQ(slot_at(policy, "192.0.2.7", kNow + std::chrono::seconds{9}), 2u);
  EXPECT_EQ(slot_at(policy, "192.0.2.7", kNow + std::chrono::seconds{10}), 1u);
}

TEST(Compile, DeadlinesReadNoClockWhereThereAreNone) {
  const Policy policy = one_database(
      {cidr_rule("192.0.2.0/24"), cidr_rule("198.51.100.0/24", kNow + std::chrono::seconds{10})});
  const auto table = compile(policy, testing::plain_slots(policy), kClock, 1);
  ASSERT_TRUE(table);
  const auto cls = source_class(*table, parse_address("192.0.2.1").value());
  const auto entry = moat_table_u16(&table->header(), table->header().classes_offset + cls * 2);
  EXPECT_FALSE(entry & MOAT_TIMED);
}

TEST(Compile, AMillionScatteredAddressesFit) {
  testing::Random random(7);
  auto cidrs = std::make_shared<Prefixes>();
  while (cidrs->size() < 1'000'000)
    cidrs->push_back({Address(static_cast<std::uint32_t>(random())), 32});
  Rule rule;
  rule.managed_range = "mr-all";
  Policy policy = one_database({rule});
  policy.ranges["mr-all"] = {"mr-all", "", cidrs, {}};
  const auto table = compile(policy, testing::plain_slots(policy), kClock, 1);
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_LE(table->header().size, MOAT_TIER_LARGE);
  for (std::size_t i = 0; i < cidrs->size(); i += 97)
    ASSERT_NE(entry_slot(*table, source_class(*table, (*cidrs)[i].address), 1, kMonotonic), 0u);
  RecordProperty("bytes", static_cast<int>(table->header().size));
}

// `count` prefixes of that length, every other one from 10.128.0.0 on, in one managed range.
Table alternating(unsigned count, std::uint8_t length) {
  auto cidrs = std::make_shared<Prefixes>();
  for (unsigned i = 0; i < count; i++)
    cidrs->push_back({Address(0x0a800000 + (i * 2 << (32 - length))), length});
  Rule rule;
  rule.managed_range = "mr-all";
  Policy policy = one_database({rule});
  policy.ranges["mr-all"] = {"mr-all", "", cidrs, {}};
  return compile(policy, testing::plain_slots(policy), kClock, 1).value();
}

// Trees over /24s, leaves, and trees within a /24, up to where the next size of top takes over.
TEST(Compile, TreesOfEverySizeFindEveryAddress) {
  for (const auto length : std::array<std::uint8_t, 3>{24, 28, 32}) {
    for (const unsigned count : {1u, 2u, 3u, 9u, 10u, 11u, 49u, 50u, 51u, 127u, 128u, 250u, 251u,
                                 1023u, 1024u, 1250u, 6250u, 6251u, 16384u}) {
      const Table table = alternating(count, length);
      const unsigned bits = 32u - length;
      for (std::uint32_t at = 0; at <= count * 2; at++)
        for (const auto address : {at << bits, ((at + 1) << bits) - 1})
          ASSERT_EQ(entry_slot(table, source_class(table, Address(0x0a800000 + address)), 1,
                               kMonotonic) != 0,
                    at % 2 == 0 && at < count * 2)
              << count << " of /" << int{length} << ", " << address;
    }
  }
}

}  // namespace
}  // namespace moat
