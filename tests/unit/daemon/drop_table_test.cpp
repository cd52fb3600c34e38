// SPDX-License-Identifier: BSD-2-Clause
#include "control/daemon/drop_table.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <cstring>

#include "bpf/source_hash.h"

namespace moat {
namespace {

using std::chrono::seconds;

const DropTable::Time noon = parse_time("2026-06-01T12:00:00Z").value();

moat_drop drop_from(const char* source, std::uint8_t reason = MOAT_NO_RULE) {
  moat_drop drop = {};
  drop.family = std::strchr(source, ':') ? 6 : 4;
  inet_pton(drop.family == 6 ? AF_INET6 : AF_INET, source, drop.source);
  drop.reason = reason;
  drop.port = htons(5432);
  drop.packets = 1;
  return drop;
}

class DropTableTest : public testing::Test {
 protected:
  void add(const moat_drop& drop, seconds after = seconds(0),
           const std::string& database = "orders", const std::string& interface = "eth0") {
    table_.add(drop, database, interface, noon + after);
  }
  [[nodiscard]] std::vector<std::string> sources(std::uint64_t since = 0) const {
    std::vector<std::string> result;
    for (const auto& drop : table_.view("", since).drops) result.push_back(drop.source);
    return result;
  }

  DropTable table_{100, 8};
};

TEST_F(DropTableTest, SaysAllThatAnEventSays) {
  auto drop = drop_from("2001:db8::7", MOAT_IPV6);
  drop.vlan = 0xe000 | 42;  // with a priority
  drop.monitored = 1;
  drop.packets = 3;
  add(drop);
  const auto view = table_.view("", 0);
  ASSERT_EQ(view.drops.size(), 1);
  const auto& row = view.drops.front();
  EXPECT_EQ(row.source, "2001:db8::7");
  EXPECT_EQ(row.database, "orders");
  EXPECT_EQ(row.port, 5432);
  EXPECT_EQ(row.reason, "ipv6");
  EXPECT_EQ(row.interface, "eth0");
  EXPECT_EQ(row.vlan, 42);
  EXPECT_TRUE(row.monitored);
  EXPECT_EQ(row.packets, 3);
  EXPECT_EQ(row.first, noon);
  EXPECT_EQ(row.last, noon);
}

TEST_F(DropTableTest, WhatIsAlikeIsOneRowWithFirstAndLast) {
  auto drop = drop_from("192.0.2.1");
  add(drop, seconds(5));
  drop.packets = 10;
  add(drop, seconds(9));
  add(drop, seconds(2));  // another CPU's, that comes late
  const auto rows = table_.view("", 0).drops;
  ASSERT_EQ(rows.size(), 1);
  EXPECT_EQ(rows[0].packets, 21);
  EXPECT_EQ(rows[0].first, noon + seconds(2));
  EXPECT_EQ(rows[0].last, noon + seconds(9));
}

TEST_F(DropTableTest, WhateverDiffersIsARowOfItsOwn) {
  const auto drop = drop_from("192.0.2.1");
  add(drop);
  add(drop_from("192.0.2.2"));
  add(drop, seconds(0), "bills");
  add(drop, seconds(0), "orders", "eth1");
  add(drop_from("192.0.2.1", MOAT_FRAGMENT));
  auto other = drop;
  other.vlan = 7;
  add(other);
  other = drop;
  other.monitored = 1;
  add(other);
  EXPECT_EQ(table_.view("", 0).drops.size(), 7);
}

TEST_F(DropTableTest, ThePortTellsRowsApartOnlyWhereNoDatabaseIsKnown) {
  auto drop = drop_from("2001:db8::7", MOAT_IPV6);
  add(drop);
  add(drop, seconds(0), "");
  drop.port = htons(6432);
  add(drop);
  add(drop, seconds(0), "");
  EXPECT_EQ(table_.view("", 0).drops.size(), 3);
  EXPECT_EQ(table_.view("orders", 0).drops.at(0).port, 6432) << "the last";
}

TEST_F(DropTableTest, TheNewestComesFirst) {
  for (const auto* source : {"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.1"}) {
    add(drop_from(source));
  }
  EXPECT_EQ(sources(), (std::vector<std::string>{"192.0.2.1", "192.0.2.3", "192.0.2.2"}));
}

TEST_F(DropTableTest, WhoAsksSinceGetsWhatHasChanged) {
  add(drop_from("192.0.2.1"));
  add(drop_from("192.0.2.2"));
  const auto next = table_.view("", 0).next;
  EXPECT_EQ(sources(next), std::vector<std::string>{});
  add(drop_from("192.0.2.1"));
  EXPECT_EQ(sources(next), std::vector<std::string>{"192.0.2.1"});
  EXPECT_GE(next, 100) << "numbers begin where they were told to";
}

TEST_F(DropTableTest, AFullTableForgetsTheOldest) {
  for (int i = 1; i <= 8; i++) add(drop_from(("192.0.2." + std::to_string(i)).c_str()));
  add(drop_from("192.0.2.1"));
  add(drop_from("192.0.2.99"));
  const auto left = sources();
  EXPECT_EQ(left.size(), 8);
  EXPECT_EQ(left[0], "192.0.2.99");
  EXPECT_EQ(left[1], "192.0.2.1") << "it came again";
  EXPECT_EQ(left.back(), "192.0.2.3");
}

TEST_F(DropTableTest, AFloodPushesOutItsOwnKind) {
  add(drop_from("198.51.100.1"), seconds(0), "bills");
  add(drop_from("198.51.100.2", MOAT_FRAGMENT));
  for (int i = 0; i < 250; i++) add(drop_from(("192.0.2." + std::to_string(i)).c_str()));
  const auto left = sources();
  EXPECT_EQ(left.size(), 8);
  EXPECT_EQ(left[0], "192.0.2.249");
  EXPECT_EQ(left[6], "198.51.100.2");
  EXPECT_EQ(left[7], "198.51.100.1");
}

TEST_F(DropTableTest, ShowsOneDatabaseAlone) {
  add(drop_from("192.0.2.1"));
  add(drop_from("192.0.2.2"), seconds(0), "bills");
  const auto rows = table_.view("bills", 0).drops;
  ASSERT_EQ(rows.size(), 1);
  EXPECT_EQ(rows[0].source, "192.0.2.2");
}

TEST_F(DropTableTest, TheLastDropOfASourceIsTheNewestThatConcernsTheDatabase) {
  const auto source = parse_address("192.0.2.1").value();
  EXPECT_FALSE(table_.last_of(source, "orders"));
  add(drop_from("192.0.2.1", MOAT_FRAGMENT));
  add(drop_from("192.0.2.1", MOAT_NO_RULE), seconds(1));
  add(drop_from("192.0.2.2", MOAT_MARTIAN), seconds(2));
  add(drop_from("192.0.2.1", MOAT_NO_RULE), seconds(3), "bills");
  const auto last = table_.last_of(source, "orders");
  ASSERT_TRUE(last);
  EXPECT_EQ(last->reason, "no-rule");
  EXPECT_EQ(last->last, noon + seconds(1));
  add(drop_from("192.0.2.1", MOAT_MALFORMED), seconds(4), "");
  EXPECT_EQ(table_.last_of(source, "orders")->reason, "malformed");
}

TEST_F(DropTableTest, WhatIsNotToldYetOfALoudSourceIsItsLatestRows) {
  auto drop = drop_from("192.0.2.1");
  drop.owner = 3;
  add(drop);
  add(drop, seconds(1), "orders", "eth1");
  add(drop_from("192.0.2.2"));
  const moat_source source = {{htonl(0xc0000201), 0, 0, 0}};
  const auto hash = moat_hash_source(&source, MOAT_OUTCOME_SLOT(3, 0, MOAT_NO_RULE));
  SuppressedDrops suppressed;
  suppressed.add(moat_source_place(hash), {0, moat_source_mark(hash), 100});
  suppressed.add(moat_source_place(hash), {0, moat_source_mark(hash), 11});  // another CPU's
  suppressed.add(moat_source_place(hash), {0, moat_source_mark(hash) + 1, 1000});
  for (int i = 0; i < 2; i++) {
    table_.note_suppressed(suppressed);
    const auto rows = table_.view("", 0).drops;
    EXPECT_EQ(rows.at(0).packets, 1) << rows.at(0).source;
    EXPECT_EQ(rows.at(1).packets, 112) << "the latest of the source, and once";
    EXPECT_EQ(rows.at(2).packets, 1);
  }
  table_.note_suppressed({});
  EXPECT_EQ(table_.view("", 0).drops.at(1).packets, 1);
}

// Counters of which that of drops for no-rule of owner 1 stands at so many packets.
std::vector<moat_counter> counters_at(std::uint64_t dropped) {
  std::vector<moat_counter> counters(MOAT_COUNTER_SLOTS);
  counters[MOAT_OUTCOME_SLOT(1, 0, MOAT_NO_RULE)].packets = dropped;
  counters[MOAT_OUTCOME_SLOT(1, 0, MOAT_EXEMPT)].packets = dropped * 3;
  return counters;
}

TEST_F(DropTableTest, SaysHowManyAreNotListed) {
  table_.note_counters(counters_at(1'000));
  EXPECT_EQ(table_.view("", 0).dropped, 0) << "before its time";
  auto drop = drop_from("192.0.2.1");
  drop.packets = 30;
  add(drop);
  table_.note_counters(counters_at(1'100));
  EXPECT_EQ(table_.view("", 0).dropped, 100);
  EXPECT_EQ(table_.view("", 0).unlisted, 70);
  table_.note_counters(counters_at(5));  // cleared in between
  EXPECT_EQ(table_.view("", 0).dropped, 105);
}

TEST_F(DropTableTest, SaysHowManyEventsWereLost) {
  auto counters = counters_at(0);
  counters[MOAT_LOST_DROPS_SLOT].packets = 12;
  table_.note_counters(counters);
  EXPECT_EQ(table_.view("", 0).lost_events, 12);
}

}  // namespace
}  // namespace moat
