// SPDX-License-Identifier: BSD-2-Clause
// The daemon's turns and reports, on a packet path in memory that fails where a test says so. What
// the event loop brings is left to the end-to-end tests.
#include "control/daemon/daemon.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "tests/support/fake_path.h"
#include "tests/support/overlaps.h"
#include "tests/support/temporary_folder.h"

namespace moat {
namespace {

class DaemonTest : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(folder_ / "databases.d");
    std::filesystem::create_directory(folder_ / "managed-ranges.d");
    folder_.put("moat.yaml", "interfaces: [moat-a]\ndrop-sessions: false\n");
    orders("192.0.2.0/24");
  }

  void orders(const std::string& cidr) {
    folder_.put("databases.d/orders.yaml.new",
                "database: orders\nendpoint: {port: 5432}\nrules:\n  - cidr: " + cidr + "\n");
    std::filesystem::rename(folder_ / "databases.d/orders.yaml.new",
                            folder_ / "databases.d/orders.yaml");
  }

  // `prepare` has the packet path before the daemon.
  void start(const std::function<void(FakePath&)>& prepare = {}) {
    const DaemonPaths paths{folder_ / "moat.yaml", "no pins", folder_ / "state", folder_ / "sock"};
    auto daemon = Daemon::start(
        paths,
        [&](const std::string&, const PinIds&) -> Result<std::unique_ptr<PacketPath>> {
          auto path = std::make_unique<FakePath>();
          path->add_interface("moat-a");
          if (prepare) prepare(*path);
          path_ = path.get();
          return path;
        },
        log_);
    ASSERT_TRUE(daemon) << daemon.error().message;
    daemon_ = std::move(*daemon);
  }
  ChangeView reload() {
    auto change = daemon_->reload({});
    EXPECT_TRUE(change) << change.error().message;
    return change.value_or(ChangeView());
  }
  bool has_problem(const std::string& text) {
    const auto problems = daemon_->status().problems;
    return std::ranges::any_of(
        problems, [&](const auto& problem) { return problem.find(text) != std::string::npos; });
  }
  bool has_logged(const std::string& text) { return logged_.str().find(text) != std::string::npos; }

  TemporaryFolder folder_;
  std::ostringstream logged_;
  Log log_{"test", std::make_shared<spdlog::sinks::ostream_sink_st>(logged_)};
  FakePath* path_ = nullptr;  // the daemon's
  std::unique_ptr<Daemon> daemon_;
};

TEST_F(DaemonTest, EnforcesAttachesAndIsReady) {
  start();
  EXPECT_FALSE(daemon_->status().ready);
  const auto change = reload();
  EXPECT_TRUE(change.enforced);
  EXPECT_EQ(change.generation, 1);
  EXPECT_EQ(path_->interfaces["moat-a"].mode, AttachMode::native);
  EXPECT_TRUE(path_->has_backstop);
  const auto status = daemon_->status();
  EXPECT_TRUE(status.ready);
  EXPECT_TRUE(status.problems.empty());
  EXPECT_EQ(status.databases, 1);
  EXPECT_TRUE(status.backstop.at_sockets);
}

TEST_F(DaemonTest, APacketPathThatCannotBeOpenedEndsTheStart) {
  const DaemonPaths paths{folder_ / "moat.yaml", "no pins", folder_ / "state", folder_ / "sock"};
  const auto daemon = Daemon::start(
      paths,
      [](const std::string&, const PinIds&) -> Result<std::unique_ptr<PacketPath>> {
        return std::unexpected(Error{"load: Operation not permitted", "run as root"});
      },
      log_);
  ASSERT_FALSE(daemon);
  EXPECT_EQ(daemon.error().remedy, "run as root");
}

TEST_F(DaemonTest, BrokenSettingsEndAFirstStart) {
  folder_.put("moat.yaml", "interfaces: [moat-a\n");
  const DaemonPaths paths{folder_ / "moat.yaml", "no pins", folder_ / "state", folder_ / "sock"};
  const auto daemon = Daemon::start(
      paths,
      [](const std::string&, const PinIds&) -> Result<std::unique_ptr<PacketPath>> {
        ADD_FAILURE() << "the packet path is left alone";
        return std::make_unique<FakePath>();
      },
      log_);
  EXPECT_FALSE(daemon);
}

TEST_F(DaemonTest, WithoutATableNothingIsAttached) {
  start([](FakePath& path) { path.failures["publish"] = "create map: Cannot allocate memory"; });
  const auto change = reload();
  EXPECT_FALSE(change.enforced);
  EXPECT_NE(change.why_not.find("Cannot allocate memory"), std::string::npos) << change.why_not;
  EXPECT_EQ(path_->interfaces["moat-a"].mode, AttachMode::none);
  EXPECT_FALSE(path_->has_backstop);
  EXPECT_FALSE(daemon_->status().ready);
  path_->failures.clear();
  EXPECT_TRUE(reload().enforced);
  EXPECT_EQ(path_->interfaces["moat-a"].mode, AttachMode::native);
  EXPECT_TRUE(daemon_->status().ready);
}

TEST_F(DaemonTest, WhereTheRulesCannotBePublishedNobodyIsAllowedAndThatIsTold) {
  folder_.put("databases.d/orders.yaml", "database: orders\nendpoint: {port: 5432}\nrules: []\n");
  start();
  reload();
  const auto size_of_closed = path_->table.header().size;
  daemon_.reset();
  std::filesystem::remove_all(folder_ / "state");
  folder_.put("databases.d/orders.yaml",
              "database: orders\nendpoint: {port: 5432}\nrules: [{managed-range: mr-0}]\n");
  folder_.put("managed-ranges.d/r.yaml", overlaps::overlapping_ranges(12));
  start([&](FakePath& path) { path.room = size_of_closed; });
  EXPECT_FALSE(reload().enforced);
  EXPECT_EQ(path_->interfaces["moat-a"].mode, AttachMode::native);
  EXPECT_TRUE(path_->has_backstop);
  EXPECT_FALSE(daemon_->status().ready);
  EXPECT_TRUE(has_problem("nobody is allowed, as the rules cannot be enforced: no room"));
  EXPECT_EQ(daemon_->status().databases, 1);
}

TEST_F(DaemonTest, AnEditThatWouldBeTooMuchForATableIsRefused) {
  folder_.put("databases.d/orders.yaml", "database: orders\nendpoint: {port: 5432}\nrules: []\n");
  for (unsigned i = 0; i < overlaps::too_many; i++) {
    const auto text = overlaps::database_of_range(i);
    folder_.put("databases.d/d" + std::to_string(i) + ".yaml",
                i != 0 ? text : text.substr(0, text.find("rules:")) + "rules: []\n");
  }
  folder_.put("managed-ranges.d/r.yaml", overlaps::overlapping_ranges(overlaps::too_many));
  start();
  ASSERT_TRUE(reload().enforced);
  const auto change = daemon_->add_rule({.database = "d0", .managed_range = "mr-0"}, {});
  ASSERT_FALSE(change);
  ASSERT_FALSE(change.error().faults.empty());
  EXPECT_NE(change.error().faults[0].message.find("the managed ranges overlap in"),
            std::string::npos);
  EXPECT_TRUE(daemon_->remove_rule("d1", daemon_->rules("d1").value()[0].id, {}));
}

TEST_F(DaemonTest, AChangeThatThePacketPathRefusesLeavesTheLastOne) {
  start();
  reload();
  orders("198.51.100.0/24");
  path_->failures["publish"] = "create map: Cannot allocate memory";
  EXPECT_FALSE(reload().enforced);
  const auto why = daemon_->why("192.0.2.9", "");
  ASSERT_TRUE(why);
  EXPECT_TRUE(why->at(0).allowed);
  EXPECT_EQ(daemon_->status().pending.size(), 1);
}

TEST_F(DaemonTest, AnInterfaceThatCannotBeAttachedIsNotReady) {
  start([](FakePath& path) { path.failures["ensure_attached"] = "Operation not supported"; });
  EXPECT_TRUE(reload().enforced);
  const auto status = daemon_->status();
  EXPECT_FALSE(status.ready);
  EXPECT_EQ(status.interfaces.at(0).reason, "Operation not supported");
}

TEST_F(DaemonTest, ABackstopThatIsOffIsNotReady) {
  start([](FakePath& path) { path.failures["ensure_backstop"] = "no cgroup2"; });
  reload();
  const auto status = daemon_->status();
  EXPECT_FALSE(status.ready);
  EXPECT_FALSE(status.backstop.at_sockets);
  EXPECT_EQ(status.backstop.not_at, "no cgroup2");
}

TEST_F(DaemonTest, ATableThatWasTakenOutIsPublishedAnewAndTold) {
  start();
  reload();
  path_->is_read = false;
  const auto before = path_->published;
  reload();
  EXPECT_GT(path_->published, before);
  EXPECT_TRUE(has_problem("the table is not live")) << "as it still is not read";
  path_->is_read = true;
  reload();
  EXPECT_FALSE(has_problem("the table is not live"));
}

TEST_F(DaemonTest, AGuardThatEndsWithTheDaemonIsTold) {
  start([](FakePath& path) { path.failures["ensure_pins"] = "no bpf file system"; });
  reload();
  EXPECT_NE(daemon_->status().unpinned.find("no bpf file system"), std::string::npos);
}

TEST_F(DaemonTest, DropsThatCannotBeReadAreAProblemAndNoReasonNotToGuard) {
  start([](FakePath& path) { path.failures["drops"] = "ring buffer: Cannot allocate memory"; });
  EXPECT_TRUE(reload().enforced);
  EXPECT_TRUE(has_problem("drops cannot be shown"));
}

TEST_F(DaemonTest, AStateThatCannotBeSavedIsAProblem) {
  start();
  std::filesystem::remove_all(folder_ / "state");
  folder_.put("state", "in the way");
  reload();
  EXPECT_TRUE(has_problem("the state is not saved"));
}

TEST_F(DaemonTest, AStateFolderThatCannotBeUsedIsAProblemAndNoReasonNotToGuard) {
  const auto path = folder_ / "state";
  folder_.put("state", "in the way");
  start();
  EXPECT_TRUE(reload().enforced);
  EXPECT_TRUE(has_problem("the state is not saved: " + path + " is no folder"));
  std::filesystem::remove(path);
  orders("198.51.100.0/24");
  reload();
  EXPECT_FALSE(has_problem("the state is not saved"));
  daemon_.reset();

  ASSERT_EQ(::chmod(path.c_str(), 0777), 0);
  start();
  EXPECT_TRUE(has_problem("the last state cannot be used: " + path + " is writable by others"));
  EXPECT_TRUE(reload().enforced);
  EXPECT_EQ(path_->interfaces["moat-a"].mode, AttachMode::native);
  EXPECT_TRUE(has_problem("chmod go-w " + path));
}

TEST_F(DaemonTest, AnotherMoatdOnTheSameStateEndsTheStart) {
  start();
  const DaemonPaths paths{folder_ / "moat.yaml", "no pins", folder_ / "state", folder_ / "other"};
  const auto other = Daemon::start(
      paths,
      [](const std::string&, const PinIds&) -> Result<std::unique_ptr<PacketPath>> {
        ADD_FAILURE() << "the packet path is left alone";
        return std::make_unique<FakePath>();
      },
      log_);
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().message.find("another moatd"), std::string::npos);
}

TEST_F(DaemonTest, AControlSocketThatCannotBeMadeIsAProblemAndNoReasonNotToGuard) {
  std::filesystem::create_directory(folder_ / "sock");
  start();
  EXPECT_TRUE(reload().enforced);
  EXPECT_EQ(path_->interfaces["moat-a"].mode, AttachMode::native);
  EXPECT_TRUE(has_problem("no control socket can be made: " + (folder_ / "sock")));
  EXPECT_TRUE(has_logged("no control socket can be made"));
}

TEST_F(DaemonTest, TheNextDaemonGoesOnWithWhatIsLive) {
  start();
  reload();
  const auto table = path_->table;
  daemon_.reset();
  start([&](FakePath& path) { path.table = table; });
  EXPECT_EQ(daemon_->status().generation, 1);
  EXPECT_EQ(reload().generation, 1);
  EXPECT_EQ(path_->published, 0) << "the same rules are no new generation";
}

TEST_F(DaemonTest, DetachEndsTheGuard) {
  start();
  reload();
  EXPECT_TRUE(daemon_->detach({}));
  EXPECT_TRUE(path_->is_gone);
}

TEST_F(DaemonTest, ADetachThatFailsIsRefusedAndSaid) {
  start();
  reload();
  path_->failures["detach_all"] = "Device or resource busy";
  const auto done = daemon_->detach({});
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message.find("Device or resource busy"), std::string::npos);
  EXPECT_FALSE(path_->is_gone);
}

TEST_F(DaemonTest, AnEditWritesTheFileAndIsEnforced) {
  start();
  reload();
  const auto change = daemon_->add_rule({.cidr = "198.51.100.7/32"}, {});
  ASSERT_TRUE(change) << change.error().message;
  EXPECT_TRUE(change->enforced);
  EXPECT_NE(folder_.get("databases.d/orders.yaml").find("198.51.100.7/32"), std::string::npos);
  const auto why = daemon_->why("198.51.100.7", "");
  ASSERT_TRUE(why);
  EXPECT_TRUE(why->at(0).allowed);
}

}  // namespace
}  // namespace moat
