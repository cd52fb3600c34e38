// SPDX-License-Identifier: BSD-2-Clause
// From files on disk to a packet path in memory.
#include "control/enforce/enforcer.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>

#include "control/os/log.h"
#include "tests/support/fake_path.h"
#include "tests/support/overlaps.h"
#include "tests/support/patience.h"
#include "tests/support/shared_mapping.h"
#include "tests/support/temporary_folder.h"

namespace moat {
namespace {

class EnforcerTest : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(folder_ / "databases.d");
    std::filesystem::create_directory(folder_ / "managed-ranges.d");
    put("moat.yaml", "interfaces: [eth0]\n");
    orders("192.0.2.0/24");
    auto store = StateStore::open(folder_ / "state");
    ASSERT_TRUE(store) << store.error().message;
    store_.emplace(std::move(*store));
    start({});
  }

  void start(State state) {
    settings_.emplace(folder_ / "moat.yaml");
    publisher_.emplace(path_, *store_, std::move(state), [] {
      return ClockReading{{std::chrono::system_clock::now(), 1'000'000'000}, "boot", true};
    });
    scanner_.emplace(*settings_, watch_);
    enforcer_.emplace(*settings_, *scanner_, *publisher_, log_);
  }
  // Nothing is live, and what was enforced last is on disk.
  void boot() {
    ASSERT_TRUE(publisher_->finish());
    path_.table = {};
    start(store_->load().state);
  }

  // A new file each time, so that its stamp is another.
  void put(const std::string& name, const std::string& bytes) {
    folder_.put(name + ".new", bytes);
    std::filesystem::rename(folder_ / (name + ".new"), folder_ / name);
  }
  void orders(const std::string& cidr) {
    put("databases.d/orders.yaml",
        "database: orders\nendpoint: {port: 5432}\nrules:\n  - cidr: " + cidr + "\n");
  }
  ApplyResult turn(const Cause& cause = {}) {
    scanner_->scan(std::chrono::system_clock::now(), publisher_->expiry_time());
    return enforcer_->apply(cause);
  }
  // `number`: of the database, by id.
  bool allows(const std::string& source, std::uint32_t number = 1) {
    const auto cls = source_class(path_.table, parse_address(source).value());
    return entry_slot(path_.table, cls, number, 0) != 0;
  }
  FileState state_of(const std::string& name) {
    for (const auto& file : enforcer_->resolution()->files)
      if (file.path == folder_ / name) return file.state;
    ADD_FAILURE() << name;
    return FileState::vanished;
  }
  // Beside orders, which comes last.
  // Their lists change as a whole, and what leaves them goes at once.
  void put_databases_of_ranges() {
    put("moat.yaml", "interfaces: [eth0]\nmanaged-range-updates: {guard: off, hold-down: 0}\n");
    for (unsigned i = 0; i < overlaps::too_many; i++)
      put("databases.d/d" + std::to_string(i) + ".yaml", overlaps::database_of_range(i));
  }
  // How often.
  std::size_t logged(const std::string& text) {
    std::size_t times = 0;
    const auto log = logged_.str();
    for (auto at = log.find(text); at != std::string::npos; at = log.find(text, at + 1)) times++;
    return times;
  }

  // Turns until no file is read any more because of its stamp.
  void settle() {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10 * patience());
    do {
      turn();
      scanner_->scan(std::chrono::system_clock::now(), publisher_->expiry_time());
    } while (scanner_->is_stale() && std::chrono::steady_clock::now() < deadline);
    ASSERT_FALSE(scanner_->is_stale());
  }

  TemporaryFolder folder_;
  FakePath path_;
  std::ostringstream logged_;
  Log log_{"test", std::make_shared<spdlog::sinks::ostream_sink_st>(logged_)};
  Watch watch_;
  std::optional<StateStore> store_;
  std::optional<Settings> settings_;
  std::optional<Publisher> publisher_;
  std::optional<FileScanner> scanner_;
  std::optional<Enforcer> enforcer_;
};

TEST_F(EnforcerTest, EnforcesWhatTheFilesSay) {
  const auto applied = turn({"start", "root"});
  EXPECT_TRUE(applied.enforced);
  EXPECT_TRUE(applied.committed);
  EXPECT_TRUE(applied.settings_changed);
  EXPECT_EQ(applied.generation, 1);
  EXPECT_TRUE(allows("192.0.2.9"));
  EXPECT_FALSE(allows("198.51.100.9"));
  EXPECT_FALSE(scanner_->is_stale());
  EXPECT_EQ(logged("generation 1 enforced"), 1);
  EXPECT_EQ(logged("(start, by root)"), 1);
}

TEST_F(EnforcerTest, FilesThatSayTheSameAreNoNewGeneration) {
  turn();
  orders("192.0.2.0/24 # the office");
  const auto applied = turn();
  EXPECT_TRUE(applied.enforced);
  EXPECT_FALSE(applied.committed);
  EXPECT_EQ(applied.generation, 1);
  EXPECT_FALSE(applied.settings_changed);
}

TEST_F(EnforcerTest, AFileWithFaultsIsHeldBackAndToldOnce) {
  turn();
  orders("192.0.2.0/33");
  for (int i = 0; i < 3; i++) EXPECT_TRUE(turn().enforced);
  EXPECT_TRUE(allows("192.0.2.9"));
  EXPECT_EQ(logged("192.0.2.0/33"), 1);
  EXPECT_EQ(logged("held-back"), 1);
  orders("198.51.100.0/24");
  EXPECT_TRUE(turn().committed);
  EXPECT_TRUE(allows("198.51.100.9"));
}

class FileWithoutStamps : public EnforcerTest {
 protected:
  void SetUp() override {
    EnforcerTest::SetUp();
    ASSERT_TRUE(is_on_tmpfs(databases_.path()));
    path_of_orders_ = databases_.put("orders.yaml",
                                     "database: orders\nendpoint: {port: 5432}\nrules:\n"
                                     "  - cidr: 192.0.2.0/24\n");
    put("moat.yaml", "interfaces: [eth0]\ndatabases: " + databases_.path() + "\n");
    settle();
  }
  void map_and_write() const { SharedMapping(path_of_orders_).replace("192.0.2.0", "192.0.3.0"); }

  TemporaryFolder databases_{tmpfs};
  std::string path_of_orders_;
};

TEST_F(FileWithoutStamps, IsReadOnceItsWriterHasClosedIt) {
  map_and_write();
  EXPECT_TRUE(watch_.drain().changed);
  EXPECT_TRUE(turn().committed);
  EXPECT_TRUE(allows("192.0.3.9"));
}

TEST_F(FileWithoutStamps, IsReadWhereSomebodyAsks) {
  map_and_write();
  (void)watch_.take_closed();  // as if nobody had heard
  EXPECT_FALSE(turn().committed);
  scanner_->scan(std::chrono::system_clock::now(), publisher_->expiry_time(), true);
  EXPECT_TRUE(enforcer_->apply({}).committed);
  EXPECT_TRUE(allows("192.0.3.9"));
}

// In place: the same file, cut off first and then added to.
TEST_F(EnforcerTest, AFileThatIsWrittenAnewInPiecesIsTakenOnceItIsAtRest) {
  const auto path = folder_ / "databases.d/orders.yaml";
  const std::string head = "database: orders\nendpoint: {port: 5432}\nrules:\n";
  const std::string office = "  - cidr: 192.0.2.0/24\n", lab = "  - cidr: 198.51.100.0/24\n";
  std::ofstream(path) << head << office << lab;
  turn();
  ASSERT_TRUE(allows("198.51.100.9"));
  std::ofstream(path) << head << office;
  turn();
  EXPECT_TRUE(scanner_->writers_end()) << "it is looked at again";
  EXPECT_TRUE(allows("198.51.100.9")) << "half a file cuts nobody off";
  std::ofstream(path, std::ios::app) << lab;
  turn();
  EXPECT_TRUE(allows("198.51.100.9"));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10 * patience());
  while (scanner_->writers_end() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_until(*scanner_->writers_end());
    turn();
  }
  EXPECT_FALSE(scanner_->writers_end());
  EXPECT_EQ(publisher_->generation(), 1) << "in the end it says what it said before";
}

TEST_F(EnforcerTest, AFileThatIsBeingWrittenIsPendingUntilItIsClosed) {
  const auto path = folder_ / "databases.d/orders.yaml";
  turn();
  EXPECT_TRUE(scanner_->pending().empty());
  std::ofstream file(path, std::ios::app);
  file << "  - cidr: 198.51.100.0/24\n" << std::flush;
  const auto ask = [&] {
    scanner_->scan(std::chrono::system_clock::now(), publisher_->expiry_time(), true);
    EXPECT_TRUE(enforcer_->apply({}).enforced);
  };
  ask();
  EXPECT_FALSE(allows("198.51.100.9"));
  ASSERT_EQ(scanner_->pending().size(), 1);
  EXPECT_EQ(scanner_->pending()[0].path, path);
  EXPECT_FALSE(scanner_->pending()[0].enforced);
  file.close();
  ask();
  EXPECT_TRUE(allows("198.51.100.9"));
  EXPECT_TRUE(scanner_->pending().empty());
}

TEST_F(EnforcerTest, AFileThatHasShrunkIsTakenAtOnceWhereSomebodyAsks) {
  const auto path = folder_ / "databases.d/orders.yaml";
  turn();
  ASSERT_TRUE(allows("192.0.2.9"));
  std::ofstream(path) << "database: orders\nendpoint: {port: 5432}\nrules: []\n";
  turn();
  EXPECT_TRUE(allows("192.0.2.9"));
  const auto& file = scanner_->files().databases.at(0);
  ASSERT_EQ(file.reading.faults.size(), 1);
  EXPECT_EQ(file.reading.faults[0].message, "has become shorter a moment ago")
      << "nobody has it open any more";
  scanner_->scan(std::chrono::system_clock::now(), publisher_->expiry_time(), true);
  EXPECT_TRUE(enforcer_->apply({}).committed);
  EXPECT_FALSE(allows("192.0.2.9"));
}

TEST_F(EnforcerTest, AFolderThatIsBackIsNoticed) {
  turn();
  std::filesystem::rename(folder_ / "databases.d", folder_ / "away");
  turn();
  std::filesystem::create_directory(folder_ / "databases.d");
  scanner_->scan(std::chrono::system_clock::now(), publisher_->expiry_time());
  EXPECT_TRUE(scanner_->is_stale());
}

TEST_F(EnforcerTest, WhatIsNotReadIsNamedInTheLogOnce) {
  put("databases.d/sales.YAML", "database: sales\n");
  turn();
  turn();
  EXPECT_EQ(logged("this is not read: \"sales.YAML\""), 1);
}

TEST_F(EnforcerTest, WhatThePacketPathRefusesIsToldAndTriedAgain) {
  turn();
  orders("198.51.100.0/24");
  path_.failures["publish"] = "create map: Cannot allocate memory";
  for (int i = 0; i < 3; i++) {
    const auto applied = turn();
    EXPECT_FALSE(applied.enforced);
    EXPECT_EQ(applied.generation, 1);
    EXPECT_EQ(applied.why_not, "create map: Cannot allocate memory");
  }
  EXPECT_TRUE(allows("192.0.2.9")) << "what was enforced before stays";
  EXPECT_TRUE(scanner_->is_stale());
  EXPECT_EQ(logged("not enforced, generation 1 stays"), 1);
  path_.failures.clear();
  EXPECT_TRUE(turn().committed);
  EXPECT_TRUE(allows("198.51.100.9"));
  EXPECT_EQ(enforcer_->failure(), "");
  EXPECT_EQ(logged("enforced again after"), 1);
}

TEST_F(EnforcerTest, AChangeIsPendingUntilItIsEnforced) {
  turn();
  EXPECT_FALSE(scanner_->propagation().last()) << "the start is no change";
  orders("198.51.100.0/24");
  path_.failures["publish"] = "no";
  turn();
  ASSERT_EQ(scanner_->propagation().pending().size(), 1);
  EXPECT_EQ(scanner_->propagation().pending()[0].path, folder_ / "databases.d/orders.yaml");
  path_.failures.clear();
  turn();
  EXPECT_TRUE(scanner_->propagation().pending().empty());
  ASSERT_TRUE(scanner_->propagation().last());
  EXPECT_EQ(scanner_->propagation().last()->generation, 2);
}

TEST_F(EnforcerTest, AFileThatVanishesOpensNothing) {
  turn();
  std::filesystem::remove(folder_ / "databases.d/orders.yaml");
  EXPECT_TRUE(turn().enforced);
  EXPECT_TRUE(allows("192.0.2.9"));
  ASSERT_TRUE(enforcer_->resolution());
  EXPECT_EQ(enforcer_->resolution()->files.at(0).state, FileState::vanished);
}

TEST_F(EnforcerTest, AHostInMonitorModeIsToldOf) {
  turn();
  put("moat.yaml", "interfaces: [eth0]\nmode: monitor\n");
  EXPECT_TRUE(turn().settings_changed);
  EXPECT_EQ(logged("database orders is in monitor mode from now on"), 1);
}

TEST_F(EnforcerTest, BrokenSettingsChangeNothing) {
  turn();
  put("moat.yaml", "interfaces: [eth0\n");
  const auto applied = turn();
  EXPECT_TRUE(applied.enforced);
  EXPECT_FALSE(applied.settings_changed);
  EXPECT_EQ(settings_->config().interfaces, std::vector<std::string>{"eth0"});
}

// ---- More sets of rules than a table can hold ----

constexpr std::uint32_t of_orders = overlaps::too_many + 1;

TEST_F(EnforcerTest, TheFileThatMakesItTooMuchIsHeldBackAndOthersGoOn) {
  put_databases_of_ranges();
  put("managed-ranges.d/r.yaml", overlaps::apart_ranges(overlaps::too_many));
  turn();
  put("managed-ranges.d/r.yaml", overlaps::overlapping_ranges(overlaps::too_many));
  const auto applied = turn();
  EXPECT_TRUE(applied.enforced) << applied.why_not;
  EXPECT_FALSE(applied.committed);
  EXPECT_EQ(state_of("managed-ranges.d/r.yaml"), FileState::held_back);
  EXPECT_EQ(logged("r.yaml: error: with this file the managed ranges overlap in 65537 different "
                   "ways; at most 32768 fit (name fewer managed ranges that overlap one another)"),
            1);
  put("databases.d/orders.yaml", "database: orders\nendpoint: {port: 5432}\nrules: []\n");
  EXPECT_TRUE(turn().committed);
  EXPECT_FALSE(allows("192.0.2.9", of_orders));
  EXPECT_EQ(state_of("managed-ranges.d/r.yaml"), FileState::held_back);
  EXPECT_EQ(logged("r.yaml: held-back"), 1) << "told once";
  put("managed-ranges.d/r.yaml", overlaps::overlapping_ranges(overlaps::too_many - 1) +
                                     "- id: mr-15\n  cidrs: [192.0.2.15/32]\n");
  EXPECT_FALSE(turn().committed) << "half as many, and one more";
  EXPECT_EQ(state_of("managed-ranges.d/r.yaml"), FileState::held_back);
  put("managed-ranges.d/r.yaml", overlaps::overlapping_ranges(overlaps::too_many - 2) +
                                     "- id: mr-14\n  cidrs: []\n- id: mr-15\n  cidrs: []\n");
  EXPECT_TRUE(turn().committed);
  EXPECT_EQ(state_of("managed-ranges.d/r.yaml"), FileState::active);
}

TEST_F(EnforcerTest, WhatIsHeldDownGivesWayToWhatIsListed) {
  put_databases_of_ranges();
  put("moat.yaml", "interfaces: [eth0]\nmanaged-range-updates: {guard: off}\n");
  put("databases.d/orders.yaml", "database: orders\nendpoint: {port: 5432}\nrules: []\n");
  const std::string last = "- id: mr-15\n  cidrs: []\n";
  put("managed-ranges.d/r.yaml", overlaps::overlapping_ranges(overlaps::too_many - 1) + last);
  ASSERT_TRUE(turn().committed);
  put("managed-ranges.d/r.yaml",
      overlaps::overlapping_ranges(overlaps::too_many - 1, 0x28000000) + last);
  EXPECT_TRUE(turn().committed) << enforcer_->failure();
  EXPECT_EQ(state_of("managed-ranges.d/r.yaml"), FileState::active);
  EXPECT_TRUE(allows("40.0.0.1"));
  EXPECT_FALSE(allows("20.0.0.1")) << "both are more sets of rules than a table can hold";
  EXPECT_EQ(logged("16384 prefixes that have left managed range mr-0 are not held down"), 1);
  EXPECT_EQ(enforcer_->resolution()->not_held.size(), overlaps::too_many - 1);
}

TEST_F(EnforcerTest, AfterABootWhatWasLastIsEnforcedThoughRangesAreTooMuch) {
  put_databases_of_ranges();
  put("managed-ranges.d/r.yaml", overlaps::apart_ranges(overlaps::too_many));
  turn();
  put("managed-ranges.d/r.yaml", overlaps::overlapping_ranges(overlaps::too_many));
  boot();
  EXPECT_TRUE(turn().committed) << enforcer_->failure();
  EXPECT_TRUE(allows("192.0.2.1", 1 + 1));
  EXPECT_TRUE(allows("192.0.2.9", of_orders));
  EXPECT_EQ(state_of("managed-ranges.d/r.yaml"), FileState::held_back);
}

TEST_F(EnforcerTest, AtAFirstStartWhatIsTooMuchIsGuardedAndTheRestEnforced) {
  put_databases_of_ranges();
  put("managed-ranges.d/r.yaml", overlaps::overlapping_ranges(overlaps::too_many));
  EXPECT_TRUE(turn().committed) << enforcer_->failure();
  const auto& resolution = *enforcer_->resolution();
  EXPECT_FALSE(resolution.not_guarded);
  EXPECT_EQ(path_.table.header().databases, overlaps::too_many + 1) << "each is guarded";
  EXPECT_EQ(std::ranges::count(resolution.state.policy.databases, true, &Database::is_placeholder),
            2);
  EXPECT_TRUE(allows("192.0.2.9", of_orders));
}

TEST_F(EnforcerTest, AfterABootWhatCannotBePublishedGivesWayToWhatWasLast) {
  turn();
  const auto size = path_.table.header().size;
  put("databases.d/orders.yaml",
      "database: orders\nendpoint: {port: 5432}\nrules: [{managed-range: mr-0}]\n");
  put("managed-ranges.d/r.yaml", overlaps::overlapping_ranges(12));
  boot();
  path_.room = size;
  const auto applied = turn();
  EXPECT_FALSE(applied.enforced);
  EXPECT_EQ(applied.why_not, "no room for the table");
  EXPECT_NE(publisher_->generation(), 0);
  EXPECT_TRUE(allows("192.0.2.9"));
  path_.room = MOAT_TIER_LARGE;
  EXPECT_TRUE(turn().enforced);
  EXPECT_FALSE(allows("192.0.2.9"));
}

TEST_F(EnforcerTest, WhereNothingElseCanBePublishedNobodyIsAllowed) {
  put("databases.d/orders.yaml", "database: orders\nendpoint: {port: 5432}\nrules: []\n");
  turn();
  const auto size = path_.table.header().size;
  path_.table = {};
  start({});
  put("databases.d/orders.yaml",
      "database: orders\nendpoint: {port: 5432}\nrules: [{managed-range: mr-0}]\n");
  put("managed-ranges.d/r.yaml", overlaps::overlapping_ranges(12));
  path_.room = size;
  EXPECT_FALSE(turn().enforced);
  ASSERT_NE(publisher_->generation(), 0);
  EXPECT_TRUE(publisher_->is_closed());
  EXPECT_FALSE(allows("20.0.0.1"));
  EXPECT_EQ(logged("nobody is allowed"), 1);
  path_.room = MOAT_TIER_LARGE;
  EXPECT_TRUE(turn().enforced);
  EXPECT_FALSE(publisher_->is_closed());
  EXPECT_TRUE(allows("20.0.0.1"));
}

}  // namespace
}  // namespace moat
