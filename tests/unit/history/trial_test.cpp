// SPDX-License-Identifier: BSD-2-Clause
#include "control/history/trial.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

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
    made.files = read_former(folder_ / "moat.yaml", files).value();
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
  ASSERT_EQ(kept->files.size(), 2u);
  EXPECT_EQ(kept->files[0].text, "interfaces: [eth0]\n");
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
  fs::create_directory(folder_ / "databases.d/x.yaml");

  const auto restored = store_.restore(made);

  EXPECT_TRUE(restored.all) << restored.all.error().message;
  EXPECT_EQ(restored.paths.size(), 3u);
  EXPECT_EQ(folder_.get("moat.yaml"), "interfaces: [eth0]\n");
  EXPECT_EQ(folder_.get("databases.d/orders.yaml"), "database: orders\n");
  EXPECT_FALSE(fs::exists(folder_ / "databases.d/new.yaml"));
  EXPECT_EQ(folder_.get("databases.d/.new.yaml.undone"), "database: new\n");
  EXPECT_EQ(folder_.get("databases.d/.new.yaml.swp"), "an editor's");
  EXPECT_EQ(folder_.get("state/undone/databases.d.orders.yaml"),
            "database: orders\nmode: monitor\n");
  EXPECT_EQ(fs::status(folder_ / "state/undone").permissions(), fs::perms::owner_all);
  EXPECT_TRUE(store_.restore(made).paths.empty()) << "once";
}

TEST_F(TrialTest, WhatTheAgentWritesMeanwhileStays) {
  auto files = RuleFiles();
  folder_.put("databases.d/fleet.yaml", "# moat-agent: the fleet\ndatabase: a\n");
  for (const auto* name : {"fleet.yaml", "orders.yaml"})
    files.databases.push_back({folder_ / ("databases.d/" + std::string(name)), {}, {}, {}});
  auto made = trial();
  made.files = read_former(folder_ / "moat.yaml", files).value();
  EXPECT_EQ(made.files.size(), 2u) << "moat.yaml and orders.yaml";
  folder_.put("databases.d/fleet.yaml", "# moat-agent: the fleet\ndatabase: a\nmode: monitor\n");
  folder_.put("databases.d/more.yaml", "# moat-agent: the fleet\ndatabase: b\n");

  EXPECT_TRUE(store_.restore(made).paths.empty());

  EXPECT_TRUE(folder_.get("databases.d/fleet.yaml").contains("monitor"));
  EXPECT_TRUE(fs::exists(folder_ / "databases.d/more.yaml"));
}

TEST_F(TrialTest, WritesAgainWhatIsGone) {
  const auto made = trial();
  fs::remove(folder_ / "databases.d/orders.yaml");
  EXPECT_EQ(store_.restore(made).paths.size(), 1u);
  EXPECT_EQ(folder_.get("databases.d/orders.yaml"), "database: orders\n");
}

TEST_F(TrialTest, BringsBackThroughASymlinkAndWhatWasMadeReadOnly) {
  fs::rename(folder_ / "databases.d/orders.yaml", folder_ / "real.yaml");
  fs::create_symlink(folder_ / "real.yaml", folder_ / "databases.d/orders.yaml");
  const auto made = trial();
  folder_.put("real.yaml", "database: orders\nmode: monitor\n");
  folder_.put("moat.yaml", "mode: monitor\n", 0444);
  fs::permissions(folder_ / "moat.yaml", fs::perms(0444));
  EXPECT_TRUE(store_.restore(made).all);
  EXPECT_EQ(folder_.get("real.yaml"), "database: orders\n");
  EXPECT_TRUE(fs::is_symlink(folder_ / "databases.d/orders.yaml"));
  EXPECT_EQ(folder_.get("moat.yaml"), "interfaces: [eth0]\n");
}

TEST_F(TrialTest, DoesWhatCanBeDoneAndNamesTheRest) {
  const auto made = trial();
  fs::remove(folder_ / "moat.yaml");
  fs::create_directory(folder_ / "moat.yaml");
  folder_.put("databases.d/orders.yaml", "database: orders\nmode: monitor\n");
  const auto restored = store_.restore(made);
  EXPECT_FALSE(restored.all);
  EXPECT_EQ(folder_.get("databases.d/orders.yaml"), "database: orders\n");
}

TEST_F(TrialTest, DoesNotBeginWithWhatCouldNotBeBroughtBack) {
  RuleFiles files;
  files.databases.push_back({folder_ / "databases.d/gone.yaml", {}, {}, {}});
  EXPECT_FALSE(read_former(folder_ / "moat.yaml", files));
  files.databases[0].path = folder_ / "databases.d/orders.yaml";
  std::ofstream writer(files.databases[0].path, std::ios::app);
  EXPECT_FALSE(read_former(folder_ / "moat.yaml", files)) << "somebody is writing it";
  writer.close();
  EXPECT_TRUE(read_former(folder_ / "moat.yaml", files));
}

TEST_F(TrialTest, BelievesNothingThatOthersCouldHaveWritten) {
  fs::create_directory(folder_ / "state");
  ASSERT_TRUE(store_.save(trial()));
  fs::permissions(folder_ / "state/trial.json", fs::perms(0666));
  EXPECT_FALSE(store_.load());
  fs::permissions(folder_ / "state/trial.json", fs::perms(0640));
  EXPECT_TRUE(store_.load());
  fs::permissions(folder_ / "state", fs::perms(0777));
  EXPECT_FALSE(store_.load());
}

}  // namespace
}  // namespace moat
