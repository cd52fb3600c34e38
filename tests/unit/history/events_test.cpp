// SPDX-License-Identifier: BSD-2-Clause
#include "control/history/events.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/temporary_folder.h"

namespace moat {
namespace {

namespace fs = std::filesystem;

class EventJournalTest : public ::testing::Test {
 protected:
  [[nodiscard]] EventJournal open(EventLimits limits = {}) const {
    return EventJournal(folder_ / "history", limits);
  }
  static Event event(const std::string& message) {
    return {0,        std::chrono::sys_days(std::chrono::year(2027) / 1 / 31),
            "change", "orders",
            "",       18,
            "ada",    message};
  }
  static void add(EventJournal& journal, int count) {
    for (int i = 0; i < count; ++i) ASSERT_TRUE(journal.add(event("one of many")));
  }

  TemporaryFolder folder_;
};

TEST_F(EventJournalTest, NumbersGoOnOverARestart) {
  {
    auto journal = open();
    EXPECT_EQ(journal.next(), 1);
    add(journal, 2);
  }
  auto journal = open();
  EXPECT_TRUE(journal.problems().empty());
  EXPECT_EQ(journal.next(), 3);
  ASSERT_TRUE(journal.add(event("the third")));
  const auto all = journal.since(0);
  ASSERT_EQ(all.size(), 3);
  EXPECT_EQ(all[0].number, 1);
  EXPECT_EQ(all[2].message, "the third");
  EXPECT_EQ(all[0].time, event("").time);
  EXPECT_EQ(all[0].generation, 18);
  ASSERT_EQ(journal.since(3).size(), 1);
  EXPECT_TRUE(journal.since(4).empty());
}

TEST_F(EventJournalTest, IsBoundedOnDiskAndInMemory) {
  const EventLimits limits{.bytes = 8'192, .in_memory = 5};
  auto journal = open(limits);
  add(journal, 200);
  std::uintmax_t bytes = 0;
  for (const auto& file : fs::directory_iterator(folder_ / "history")) bytes += file.file_size();
  EXPECT_LE(bytes, limits.bytes + 512);
  EXPECT_EQ(journal.recent().size(), 5);
  const auto all = journal.since(0);
  EXPECT_GT(all.size(), 5) << "those before are on disk";
  EXPECT_EQ(all.back().number, 200);
  for (std::size_t i = 1; i < all.size(); ++i) EXPECT_EQ(all[i].number, all[i - 1].number + 1);
  EXPECT_EQ(open(limits).next(), 201);
}

TEST_F(EventJournalTest, AnAnswerHasAThousandAtMost) {
  auto journal = open();
  add(journal, 1'100);
  EXPECT_EQ(journal.since(0).size(), EventJournal::max_at_once);
  EXPECT_EQ(journal.since(1'001).size(), 100);
}

TEST_F(EventJournalTest, DamagedLinesArePassedOver) {
  {
    auto journal = open();
    add(journal, 2);
  }
  const auto sound = folder_.get("history/events.jsonl");
  folder_.put("history/events.jsonl",
              sound + "garbage\n{\"number\": 2}\n[]\n\n{\"number\": \"5\"}\n{\"number\": 7, \"ti");
  auto journal = open();
  ASSERT_EQ(journal.problems().size(), 1);
  EXPECT_TRUE(journal.problems()[0].ends_with("events.jsonl: 5 damaged lines are passed over"))
      << journal.problems()[0];
  EXPECT_EQ(journal.next(), 3);
  ASSERT_TRUE(journal.add(event("the third"))) << "on a line of its own";
  const auto all = open().since(0);
  ASSERT_EQ(all.size(), 3);
  EXPECT_EQ(all[2].message, "the third");
}

TEST_F(EventJournalTest, WhatTheDiskDoesNotTakeIsWrittenOnceItDoes) {
  folder_.put("history", "in the way");
  auto journal = open();
  EXPECT_FALSE(journal.add(event("the first")));
  EXPECT_FALSE(journal.keep());
  EXPECT_EQ(journal.since(0).size(), 1);
  EXPECT_EQ(journal.next(), 2);
  fs::remove(folder_ / "history");
  EXPECT_TRUE(journal.add(event("the second")));
  EXPECT_TRUE(journal.keep());
  const auto all = open().since(0);
  ASSERT_EQ(all.size(), 2);
  EXPECT_EQ(all[0].message, "the first");
  EXPECT_EQ(all[1].message, "the second");
  EXPECT_TRUE(open().problems().empty());
}

}  // namespace
}  // namespace moat
