// SPDX-License-Identifier: BSD-2-Clause
#include "control/history/trial.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/temporary_folder.h"

namespace moat {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class TrialTest : public ::testing::Test {
 protected:
  TrialTest() {
    fs::create_directories(folder_ / "databases.d");
    folder_.put("moat.yaml", "interfaces: [eth0]\n");
    folder_.put("databases.d/orders.yaml", "database: orders\n");
  }

  [[nodiscard]] Trial trial() const {
    Trial made;
    made.id = "1234";
    made.author = "ada";
    made.generation = 7;
    made.boot = "this";
    made.ends = boot_time() + 60s;
    made.folder = folder_ / "databases.d";
    RuleFiles files;
    files.databases.push_back({folder_ / "databases.d/orders.yaml", {}, {}, {}});
    files.databases.push_back({folder_ / "databases.d/gone.yaml", {}, {}, {}});
    made.files = read_former(folder_ / "moat.yaml", files);
    made.databases = {"orders"};
    return made;
  }

  TemporaryFolder folder_;
  TrialStore store_{folder_ / "state"};
};

TEST_F(TrialTest, OutlivesTheDaemon) {
  EXPECT_FALSE(store_.load().value());
  fs::create_directory(folder_ / "state");
  const auto begun = trial();
  ASSERT_TRUE(store_.save(begun));

  const auto kept = store_.load().value();

  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->id, "1234");
  EXPECT_EQ(kept->author, "ada");
  EXPECT_EQ(kept->generation, 7u);
  EXPECT_EQ(kept->ends, begun.ends);
  EXPECT_EQ(kept->databases, begun.databases);
  ASSERT_EQ(kept->files.size(), 3u);
  EXPECT_EQ(kept->files[0].text, "interfaces: [eth0]\n");
  EXPECT_EQ(kept->files[2].text, std::nullopt);
  ASSERT_TRUE(store_.remove());
  EXPECT_FALSE(store_.load().value());
  EXPECT_TRUE(store_.remove());
}

TEST_F(TrialTest, LapsesWithItsTimeAndWithItsBoot) {
  auto made = trial();
  EXPECT_GT(time_left(made, "this"), 0s);
  EXPECT_LE(time_left(made, "this"), 60s);
  EXPECT_EQ(time_left(made, "another"), 0s);
  made.ends = boot_time() - 1s;
  EXPECT_EQ(time_left(made, "this"), 0s);
}

TEST_F(TrialTest, BringsBackWhatWasAndKeepsWhatItOverwrites) {
  const auto made = trial();
  folder_.put("moat.yaml", "interfaces: [eth1]\n");
  folder_.put("databases.d/orders.yaml", "database: orders\nmode: monitor\n");
  folder_.put("databases.d/new.yaml", "database: new\n");
  folder_.put("databases.d/.new.yaml.swp", "an editor's");

  EXPECT_EQ(store_.restore(made).value().size(), 3u);

  EXPECT_EQ(folder_.get("moat.yaml"), "interfaces: [eth0]\n");
  EXPECT_EQ(folder_.get("databases.d/orders.yaml"), "database: orders\n");
  EXPECT_FALSE(fs::exists(folder_ / "databases.d/new.yaml"));
  EXPECT_EQ(folder_.get("databases.d/.new.yaml.swp"), "an editor's");
  EXPECT_EQ(folder_.get("state/undone/moat.yaml"), "interfaces: [eth1]\n");
  EXPECT_EQ(folder_.get("state/undone/orders.yaml"), "database: orders\nmode: monitor\n");
  EXPECT_EQ(folder_.get("state/undone/new.yaml"), "database: new\n");
  EXPECT_TRUE(store_.restore(made).value().empty()) << "once";
}

TEST_F(TrialTest, WritesAgainWhatIsGone) {
  const auto made = trial();
  fs::remove(folder_ / "databases.d/orders.yaml");
  EXPECT_EQ(store_.restore(made).value().size(), 1u);
  EXPECT_EQ(folder_.get("databases.d/orders.yaml"), "database: orders\n");
}

TEST_F(TrialTest, LeavesAloneWhatCouldNotBeReadThen) {
  const auto made = trial();
  folder_.put("databases.d/gone.yaml", "database: back\n");
  EXPECT_TRUE(store_.restore(made).value().empty());
  EXPECT_EQ(folder_.get("databases.d/gone.yaml"), "database: back\n");
}

}  // namespace
}  // namespace moat
