// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/range_keeper.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "control/policy/cidrs_digest.h"
#include "tests/support/temporary_folder.h"

namespace moat {
namespace {

using namespace std::chrono_literals;
using Time = RangeKeeper::Time;

const Time start = std::chrono::sys_days(std::chrono::year(2026) / 11 / 26);

RangeSource settings() {
  return {.id = "mr-x", .from = WebList{.url = "https://lists.example.com/x"}, .every = 1h};
}

Prefixes prefixes(std::initializer_list<unsigned> third) {
  Prefixes list;
  for (const auto octet : third) list.push_back({Address(0xc6120000U + (octet << 8)), 24});
  return list;
}

SourceAnswer answer(Prefixes cidrs, std::string version = "", std::string etag = "") {
  return {.list = {.cidrs = std::move(cidrs), .version = std::move(version)},
          .etag = std::move(etag)};
}

Result<SourceAnswer> failure(const char* why) { return std::unexpected(Error{why, ""}); }

class RangeKeeperTest : public testing::Test {
 protected:
  RangeKeeper make(const AgentSource* before = nullptr) {
    return {settings(), folder_.path(), before, [] { return 0.5; }};
  }
  [[nodiscard]] std::string written() const { return written_digest(folder_.path(), "mr-x"); }

  TemporaryFolder folder_;
};

TEST_F(RangeKeeperTest, IsDueAtOnceAndThenAtItsInterval) {
  auto keeper = make();
  EXPECT_TRUE(keeper.is_due(start));
  static_cast<void>(keeper.begin(start));
  ASSERT_TRUE(keeper.finish(answer(prefixes({1})), start));
  EXPECT_FALSE(keeper.is_due(start + 59min));
  EXPECT_TRUE(keeper.is_due(start + 1h));
  EXPECT_TRUE(keeper.is_due(start - 24h)) << "the clock was set back";
  EXPECT_EQ(written(), cidrs_digest(prefixes({1})));
}

TEST_F(RangeKeeperTest, AFailureKeepsTheListAndIsTriedAgainSoonAndThenLater) {
  auto keeper = make();
  ASSERT_TRUE(keeper.finish(answer(prefixes({1})), start));
  auto now = start + 1h;
  auto before = 0s;
  for (int i = 0; i < 20; ++i) {
    EXPECT_FALSE(keeper.finish(failure("no route"), now));
    const auto wait = std::chrono::duration_cast<std::chrono::seconds>(*keeper.status().next - now);
    EXPECT_GE(wait, before);
    EXPECT_LE(wait, 1h);
    before = wait;
    now = *keeper.status().next;
  }
  EXPECT_EQ(before, 1h);
  EXPECT_EQ(keeper.status().error, "no route");
  EXPECT_EQ(keeper.status().fetched, start);
  EXPECT_FALSE(keeper.status().is_stale(start + 7 * 24h));
  EXPECT_TRUE(keeper.status().is_stale(start + 7 * 24h + 1s));
  EXPECT_EQ(written(), cidrs_digest(prefixes({1})));
  ASSERT_TRUE(keeper.finish(SourceAnswer{.is_unchanged = true}, now));
  EXPECT_EQ(keeper.status().error, "");
  EXPECT_EQ(keeper.status().failures, 0U);
}

TEST_F(RangeKeeperTest, NeverGoesBack) {
  auto keeper = make();
  ASSERT_TRUE(keeper.finish(answer(prefixes({1, 2}), "10"), start));
  const auto older = keeper.finish(answer(prefixes({1}), "9"), start + 1h);
  ASSERT_FALSE(older);
  EXPECT_NE(older.error().message.find("older (version 9)"), std::string::npos);
  EXPECT_EQ(written(), cidrs_digest(prefixes({1, 2})));
  // Nor after a restart.
  auto reborn = make(&keeper.status());
  EXPECT_FALSE(reborn.finish(answer(prefixes({1}), "9"), start + 2h));
  EXPECT_TRUE(reborn.finish(answer(prefixes({1, 3}), "11"), start + 3h));
  // Unless somebody takes the file away.
  std::filesystem::remove(folder_ / "mr-x.yaml");
  static_cast<void>(reborn.begin(start + 4h));
  EXPECT_TRUE(reborn.finish(answer(prefixes({1}), "9"), start + 4h));
}

TEST_F(RangeKeeperTest, AListWithoutAVersionMakesNobodyForgetIt) {
  auto keeper = make();
  ASSERT_TRUE(keeper.finish(answer(prefixes({1}), "10"), start));
  ASSERT_TRUE(keeper.finish(answer(prefixes({1, 2})), start + 1h));
  EXPECT_FALSE(keeper.finish(answer(prefixes({1}), "9"), start + 2h));
}

TEST_F(RangeKeeperTest, AsksOftenForAnHourAfterAListThatLostNetworks) {
  auto keeper = make();
  ASSERT_TRUE(keeper.finish(answer(prefixes({1, 2})), start));
  for (const auto at : {60min, 70min, 119min}) {
    ASSERT_TRUE(keeper.finish(answer(prefixes({1})), start + at));
    EXPECT_EQ(keeper.status().next, start + at + 10min);
  }
  ASSERT_TRUE(keeper.finish(answer(prefixes({1})), start + 120min));
  EXPECT_EQ(keeper.status().next, start + 180min);
}

TEST_F(RangeKeeperTest, AnotherOriginBeginsAnew) {
  auto keeper = make();
  ASSERT_TRUE(keeper.finish(answer(prefixes({1}), "10", "\"tag\""), start));
  EXPECT_EQ(keeper.begin(start).etag, "\"tag\"");
  auto other = settings();
  other.from = WebList{.url = "https://lists.example.com/y"};
  RangeKeeper moved(other, folder_.path(), &keeper.status(), [] { return 0.5; });
  EXPECT_EQ(moved.begin(start).etag, "");
  EXPECT_TRUE(moved.finish(answer(prefixes({2}), "1"), start));
}

TEST_F(RangeKeeperTest, AsksForTheWholeListWhereItsFileIsNotWhatItWrote) {
  auto keeper = make();
  ASSERT_TRUE(keeper.finish(answer(prefixes({1}), "", "\"tag\""), start));
  EXPECT_EQ(keeper.begin(start).etag, "\"tag\"");
  folder_.put("mr-x.txt", marked("198.18.9.0/24\n"));
  EXPECT_EQ(keeper.begin(start).etag, "");
  ASSERT_TRUE(keeper.finish(answer(prefixes({1}), "", "\"tag\""), start));
  EXPECT_EQ(written(), cidrs_digest(prefixes({1})));
}

// A day of hourly refreshes by a provider who flaps, fails, lies and grows. Networks that were in
// every good list may never be missing from what is written.
TEST_F(RangeKeeperTest, ADayOfAnUnreliableProvider) {
  std::minstd_rand random(7);
  RangeKeeper keeper(settings(), folder_.path(), nullptr,
                     [&random] { return static_cast<double>(random() % 1000) / 1000; });
  const auto stable = prefixes({1, 2, 3});
  Prefixes list = stable;
  Prefixes last_good;
  unsigned version = 100;
  unsigned tries = 0;
  std::set<std::string> errors;
  for (auto now = start; now < start + 24h; now += 1min) {
    if (!keeper.is_due(now)) continue;
    ++tries;
    static_cast<void>(keeper.begin(now));
    const auto kind = random() % 6;
    if (kind == 0) {
      EXPECT_FALSE(keeper.finish(failure("HTTP status 503"), now));
    } else if (kind == 1) {
      EXPECT_FALSE(keeper.finish(failure("a page for people"), now));
    } else if (kind == 2 && !last_good.empty()) {
      EXPECT_FALSE(keeper.finish(answer(prefixes({9}), fmt::format("{}", version - 1)), now));
    } else if (kind == 3) {
      EXPECT_FALSE(keeper.finish(answer({}, fmt::format("{}", version)), now)) << "empty";
    } else if (kind == 4 && !last_good.empty()) {
      EXPECT_TRUE(keeper.finish(SourceAnswer{.is_unchanged = true}, now));
    } else {
      list.push_back({Address(0xc6130000U + (version << 8)), 24});
      EXPECT_TRUE(keeper.finish(answer(list, fmt::format("{}", ++version)), now));
      last_good = list;
    }
    if (!keeper.status().error.empty()) errors.insert(keeper.status().error);
    if (!last_good.empty()) {
      EXPECT_EQ(written(), cidrs_digest(last_good));
    }
    EXPECT_FALSE(keeper.status().fetched && keeper.status().is_stale(now));
  }
  EXPECT_GE(tries, 24U);
  EXPECT_LE(tries, 300U) << "a provider is not to be flooded";
  EXPECT_GE(errors.size(), 4U);
  EXPECT_GE(last_good.size(), 6U);
}

}  // namespace
}  // namespace moat
