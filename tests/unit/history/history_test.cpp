// SPDX-License-Identifier: BSD-2-Clause
#include "control/history/history.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/support/temporary_folder.h"

namespace moat {
namespace {

namespace fs = std::filesystem;

HistoryEntry entry(std::uint64_t generation, const std::string& text) {
  HistoryEntry made{generation,
                    std::chrono::sys_days(std::chrono::year(2027) / 1 / 31),
                    "rule added",
                    "ada (uid 1000, pid 7)",
                    "moat rules add",
                    "orders: added",
                    {}};
  made.files.push_back({"/etc/orders.yaml", std::make_shared<const std::string>(text)});
  return made;
}

class HistoryTest : public ::testing::Test {
 protected:
  [[nodiscard]] std::string path() const { return folder_ / "history"; }
  [[nodiscard]] History open(HistoryLimits limits = {}) const { return History(path(), limits); }
  [[nodiscard]] std::size_t texts() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(path() + "/texts"), fs::directory_iterator()));
  }

  TemporaryFolder folder_;
};

TEST_F(HistoryTest, SaysWhatWasKeptAlsoToTheNextDaemon) {
  EXPECT_TRUE(open().list().empty());
  ASSERT_TRUE(open().add(entry(17, "rules: []\n")));
  ASSERT_TRUE(open().add(entry(18, "rules: [] # caf\u00e9\n")));

  const auto list = open().list();

  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0].generation, 18u);
  EXPECT_EQ(list[0].files[0].path, "/etc/orders.yaml");
  const auto found = open().find(18).value();
  ASSERT_TRUE(found);
  EXPECT_EQ(*found->files[0].bytes, "rules: [] # caf\u00e9\n");
  EXPECT_EQ(found->time, entry(18, "").time);
  EXPECT_EQ(found->cause, "rule added");
  EXPECT_EQ(found->author, "ada (uid 1000, pid 7)");
  EXPECT_EQ(found->command, "moat rules add");
  EXPECT_EQ(found->change, "orders: added");
  EXPECT_FALSE(open().find(16).value());
  EXPECT_EQ(open().latest().value()->generation, 18u);
}

TEST_F(HistoryTest, KeepsATextOnceAndTheNewestGenerations) {
  auto history = open({.entries = 3});
  for (std::uint64_t generation = 1; generation <= 5; ++generation)
    ASSERT_TRUE(history.add(entry(generation, generation < 5 ? "the same" : "another")));
  EXPECT_EQ(history.list().size(), 3u);
  EXPECT_EQ(history.list().back().generation, 3u);
  EXPECT_EQ(open().list().size(), 3u);
  EXPECT_EQ(texts(), 2u);
  for (std::uint64_t generation = 6; generation <= 8; ++generation)
    ASSERT_TRUE(history.add(entry(generation, "another")));
  EXPECT_EQ(texts(), 1u) << "what no generation has any more is gone";
}

TEST_F(HistoryTest, KeepsNoMoreBytesThanItMayAndTheNewestInAnyCase) {
  auto history = open({.entries = 100, .bytes = 25});
  for (std::uint64_t generation = 1; generation <= 4; ++generation)
    ASSERT_TRUE(
        history.add(entry(generation, std::string(10, static_cast<char>('a' + generation)))));
  EXPECT_EQ(history.list().size(), 2u);
  ASSERT_TRUE(history.add(entry(5, std::string(30, 'x'))));
  ASSERT_EQ(history.list().size(), 1u);
  EXPECT_EQ(history.find(5).value()->files[0].bytes->size(), 30u);
}

TEST_F(HistoryTest, SaysWhatIsDamagedInPlaceOfWhatItSaysNow) {
  ASSERT_TRUE(open().add(entry(1, "rules: []\n")));
  const auto text = fs::directory_iterator(path() + "/texts")->path();
  std::ofstream(text, std::ios::app) << "  - cidr: 0.0.0.0/0\n";
  EXPECT_NE(open().find(1).error().message.find("generation 1 is damaged"), std::string::npos);
  fs::remove(text);
  EXPECT_NE(open().find(1).error().message.find("gone from the history"), std::string::npos);
}

TEST_F(HistoryTest, TellsOfAGenerationThatCannotBeRead) {
  ASSERT_TRUE(open().add(entry(1, "rules: []\n")));
  std::ofstream(path() + "/00000000000000000002.json") << "{";
  fs::copy(path() + "/00000000000000000001.json", path() + "/00000000000000000003.json");
  const auto history = open();
  EXPECT_EQ(history.list().size(), 1u);
  EXPECT_EQ(history.problems().size(), 2u);
}

}  // namespace
}  // namespace moat
