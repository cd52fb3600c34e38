// SPDX-License-Identifier: BSD-2-Clause
// Bursts: one frame, one count, and the reports that the kernel's program
// would make. That the verdicts are the right ones, tests/verdict sees to.
#include "dataplane/dpdk/burst.h"

#include <gtest/gtest.h>

#include <map>
#include <numeric>

#include "dataplane/dpdk/account.h"
#include "dataplane/dpdk/drop_reports.h"
#include "tests/support/temporary_folder.h"
#include "tests/unit/dpdk/tables.h"

namespace moat {
namespace {

struct Frames {
  const std::vector<std::array<std::uint8_t, 54>>& frames;
  std::uint64_t now = 0;

  moat_frame operator[](unsigned number) const {
    const auto& frame = frames[number];
    return {.data = frame.data(),
            .end = frame.data() + frame.size(),
            .length = static_cast<std::uint32_t>(frame.size()),
            .context = nullptr};
  }
};

struct Lcore {
  std::map<std::uint32_t, std::uint64_t> packets;
  std::vector<moat_verdict> reported;
  bool wants = true;

  void count(std::uint32_t slot, std::uint32_t bytes) {
    EXPECT_EQ(bytes, 54u);
    packets[slot]++;
  }
  bool wants_report(std::uint32_t) const { return wants; }
  void report(const moat_frame&, const moat_verdict& verdict) { reported.push_back(verdict); }
};

constexpr std::uint32_t no_rule = MOAT_OUTCOME_SLOT(1, 0, MOAT_NO_RULE);

class BurstTest : public ::testing::Test {
 protected:
  std::uint64_t judge(const std::vector<std::array<std::uint8_t, 54>>& frames) {
    const Frames view{frames};
    return Burst(table_, view, static_cast<unsigned>(frames.size()), lcore_).drops();
  }

  LiveTable table_ = LiveTable::make(table_for({{10u << 24, 1}})).value();
  Lcore lcore_;
};

TEST_F(BurstTest, AFullBurstIsJudgedFrameByFrame) {
  std::vector<std::array<std::uint8_t, 54>> frames;
  std::uint64_t unlisted = 0;
  for (unsigned i = 0; i < 64; i++) {
    frames.push_back(syn_from((i % 3 == 0 ? 10u : 11u) << 24 | i));
    if (i % 3 != 0) unlisted |= std::uint64_t{1} << i;
  }
  EXPECT_EQ(judge(frames), unlisted);
  EXPECT_EQ(lcore_.packets, (std::map<std::uint32_t, std::uint64_t>{{7, 22}, {no_rule, 42}}));
}

TEST_F(BurstTest, AnEmptyBurstIsNothing) {
  EXPECT_EQ(judge({}), 0u);
  EXPECT_TRUE(lcore_.packets.empty());
}

// Plain frames, and others between them that are judged apart.
TEST_F(BurstTest, EachVerdictGoesToItsOwnFrame) {
  auto fragment = syn_from(11u << 24);
  fragment[20] = 0x20;
  auto arp = syn_from(11u << 24);
  arp[13] = 6;
  auto other_port = syn_from(11u << 24);
  other_port[37]++;
  EXPECT_EQ(judge({arp, syn_from(11u << 24), fragment, syn_from(10u << 24), other_port,
                   syn_from(127u << 24)}),
            0b100110u);
}

TEST_F(BurstTest, AReportHasWhatWasNotKept) {
  judge({syn_from(11u << 24)});
  ASSERT_EQ(lcore_.reported.size(), 1u);
  const moat_verdict& verdict = lcore_.reported[0];
  EXPECT_EQ(verdict.slot, no_rule);
  EXPECT_EQ(verdict.port, 5432);
  EXPECT_EQ(verdict.l3, 14u);
  EXPECT_EQ(verdict.family, 4);
  EXPECT_EQ(verdict.bytes, 54u);
  EXPECT_EQ(verdict.owner, 1);
  EXPECT_EQ(verdict.reason, MOAT_NO_RULE);
  EXPECT_TRUE(verdict.drop);
}

TEST_F(BurstTest, NothingIsReportedWhereNobodyWantsIt) {
  lcore_.wants = false;
  judge({syn_from(11u << 24), syn_from(10u << 24)});
  EXPECT_TRUE(lcore_.reported.empty());
}

// ---- Reports ----

class DropReportsTest : public ::testing::Test {
 protected:
  // Whether a drop of that source is reported at this tick, and for how many packets it stands.
  std::uint32_t drop(std::uint32_t source, std::uint64_t tick) {
    const auto frame = syn_from(source);
    moat_frame view = {.data = frame.data(), .end = frame.data() + frame.size(), .length = 54};
    moat_verdict verdict;
    moat_judge_frame(&table_.header(), table_.header().size, &view, &verdict);
    if (!reports_.has_allowance(verdict.slot, tick)) return 0;
    const auto event = reports_.report(view, verdict, tick);
    if (event) last_ = *event;
    return event ? event->packets : 0;
  }

  Table table_ = table_for({});
  KindGrants kinds_{};
  std::vector<moat_source_allowance> sources_ = std::vector<moat_source_allowance>(MOAT_SOURCES);
  DropReports reports_{kinds_, sources_, 42};
  moat_drop last_ = {};
};

TEST_F(DropReportsTest, AnEventSaysWhatWasDropped) {
  EXPECT_EQ(drop(11u << 24 | 5, 1000), 1u);
  EXPECT_EQ(last_.ifindex, 42u);
  EXPECT_EQ(last_.bytes, 54u);
  EXPECT_EQ(last_.family, 4);
  EXPECT_EQ(last_.source[0], 11);
  EXPECT_EQ(last_.source[3], 5);
  EXPECT_EQ(last_.port, __builtin_bswap16(5432));
  EXPECT_EQ(last_.reason, MOAT_NO_RULE);
  EXPECT_EQ(last_.owner, 1);
  EXPECT_NE(last_.time, 0u);
}

// What was not reported of it is in the number of its next event.
TEST_F(DropReportsTest, ALoudSourceIsSummedUp) {
  std::uint64_t told = 0, events = 0;
  for (unsigned i = 0; i < 1000; i++) {
    const auto packets = drop(11u << 24, 1000);
    told += packets;
    events += packets != 0;
  }
  // The first one of another mark may overdraw.
  EXPECT_GE(events, unsigned{MOAT_SOURCE_BURST});
  EXPECT_LE(events, unsigned{MOAT_SOURCE_BURST + MOAT_SOURCE_SPARE});
  EXPECT_EQ(drop(11u << 24, 1000 + 100 * MOAT_SOURCE_PACE) + told, 1001u);
}

TEST_F(DropReportsTest, ACrowdOfOneKindIsBounded) {
  unsigned events = 0;
  for (std::uint32_t i = 0; i < 100'000; i++) events += drop(11u << 24 | i * 7, 1000) != 0;
  EXPECT_LE(events, unsigned{MOAT_KIND_BURST} + 1);
  EXPECT_GE(events, unsigned{MOAT_KIND_BURST});
}

TEST_F(DropReportsTest, ALoudSourceHidesNoLoneOne) {
  for (unsigned i = 0; i < 1000; i++) (void)drop(11u << 24, 1000);
  EXPECT_EQ(drop(12u << 24, 1000), 1u);
}

// ---- The account ----

class AccountTest : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  std::string path_ = folder_ / "account";
};

TEST_F(AccountTest, LcoresAreSummed) {
  const Account account = Account::open(path_, 3).value();
  for (unsigned lcore = 0; lcore < 3; lcore++) account.counters(lcore)[5] = {lcore + 1, 100};
  const auto totals = account.sum();
  EXPECT_EQ(totals.size(), MOAT_COUNTER_SLOTS);
  EXPECT_EQ(totals[5].packets, 6u);
  EXPECT_EQ(totals[5].bytes, 300u);
  account.clear({5});
  EXPECT_EQ(account.sum()[5].packets, 0u);
}

TEST_F(AccountTest, TheNextWorkerCountsOn) {
  Account::open(path_, 2)->counters(1)[9] = {4, 40};
  const Account fewer = Account::open(path_, 1).value();
  EXPECT_EQ(fewer.sum()[9].packets, 4u);
  const Account more = Account::open(path_, 4).value();
  EXPECT_EQ(more.sum()[9].packets, 4u);
  more.counters(3)[9].packets++;
  EXPECT_EQ(more.sum()[9].packets, 5u);
}

TEST_F(AccountTest, TheDaemonSeesWhatTheWorkerCounts) {
  const Account worker = Account::open(path_, 1).value();
  const Account daemon = Account::map(Fd(::dup(worker.fd()))).value();
  worker.counters(0)[MOAT_RULE_SLOTS] = {1, 54};
  EXPECT_EQ(daemon.sum()[MOAT_RULE_SLOTS].bytes, 54u);
  worker.sources(0)[3] = {0, 77, 12};
  daemon.forget_suppressed_drops();
  EXPECT_EQ(worker.sources(0)[3].suppressed, 0u);
}

TEST_F(AccountTest, AnotherFileIsNotMapped) {
  EXPECT_FALSE(Account::map(Fd(::dup(0))));
  EXPECT_FALSE(Account::open(path_, 65));
}

}  // namespace
}  // namespace moat
