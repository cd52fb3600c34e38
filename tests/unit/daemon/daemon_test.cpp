// SPDX-License-Identifier: BSD-2-Clause
// The daemon's turns and reports, on a packet path in memory that fails where a test says so. What
// the event loop brings is left to the end-to-end tests.
#include "control/daemon/daemon.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <spdlog/sinks/ostream_sink.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "control/os/log.h"
#include "control/service/status_text.h"
#include "tests/support/fake_path.h"
#include "tests/support/overlaps.h"
#include "tests/support/own_netns.h"
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
        problems, [&](const Problem& problem) { return problem.message.contains(text); });
  }
  // Of a problem or notice.
  bool has_code(std::string_view code) {
    const auto status = daemon_->status();
    return std::ranges::find(status.problems, code, &Problem::code) != status.problems.end() ||
           std::ranges::find(status.notices, code, &Problem::code) != status.notices.end();
  }
  std::vector<std::string> event_kinds_told() {
    std::vector<std::string> kinds;
    const auto events = daemon_->events(0)->events;  // or they would be gone in the loop
    for (const auto& event : events) kinds.push_back(event.kind);
    return kinds;
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

// Taken out of moat.yaml while no moatd ran.
TEST_F(DaemonTest, TellsOfAnInterfaceThatIsGuardedAndNotNamed) {
  start([](FakePath& path) {
    path.add_interface("moat-b");
    EXPECT_TRUE(path.ensure_attached("moat-b", WantedAttach::automatic).is_attached());
  });
  reload();
  EXPECT_TRUE(has_code(code::unnamed_interface));
  folder_.put("moat.yaml", "interfaces: [moat-a, moat-b]\ndrop-sessions: false\n");
  reload();
  EXPECT_FALSE(has_code(code::unnamed_interface));
}

// What a daemon under it tells the service manager.
class ServiceManager {
 public:
  explicit ServiceManager(const std::string& path)
      : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  }
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;
  ~ServiceManager() { ::unsetenv("NOTIFY_SOCKET"); }

  // Since it was last asked, a message a line.
  std::string told() {
    std::string all;
    std::array<char, 4096> buffer{};
    for (;;) {
      const auto got = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
      if (got < 0) return all;
      all.append(buffer.data(), static_cast<std::size_t>(got)) += '\n';
    }
  }

 private:
  Fd socket_;
};

TEST_F(DaemonTest, TheServiceHasStartedOnceRulesAreEnforcedThoughNotAllIsGuarded) {
  ServiceManager manager(folder_ / "notify");
  folder_.put("databases.d/bills.yaml", "database: bills\nendpoint: {port: 60OO}\nrules: []\n");
  start();
  EXPECT_EQ(manager.told(), "");
  EXPECT_TRUE(reload().enforced);
  EXPECT_FALSE(daemon_->status().ready);
  const auto told = manager.told();
  const std::string status =
      "STATUS=generation 1 is enforced; NOT ALL IS GUARDED, see `moat status`\n";
  EXPECT_TRUE(told.starts_with(status + "READY=1\n")) << told;
  std::filesystem::remove(folder_ / "databases.d/bills.yaml");
  reload();
  EXPECT_TRUE(daemon_->status().ready);
  EXPECT_EQ(manager.told().find("READY"), std::string::npos) << "told before";
}

TEST_F(DaemonTest, InMonitorModeTheServiceAndTheJournalSayThatNothingIsDropped) {
  ServiceManager manager(folder_ / "notify");
  start();
  reload();
  EXPECT_TRUE(manager.told().starts_with("STATUS=generation 1 is enforced\n"));
  folder_.put("moat.yaml", folder_.get("moat.yaml") + "mode: monitor\n");
  reload();
  const std::string monitored = "generation 2 is enforced (monitor mode: nothing is dropped)";
  EXPECT_TRUE(manager.told().starts_with("STATUS=" + monitored + "\n"));
  EXPECT_TRUE(std::ranges::any_of(daemon_->events(0)->events, [&](const auto& event) {
    return event.message.starts_with(monitored + ": ");
  }));
}

TEST_F(DaemonTest, TheServiceHasNotStartedWhereNoRulesAreEnforced) {
  ServiceManager manager(folder_ / "notify");
  start([](FakePath& path) { path.failures["publish"] = "create map: Cannot allocate memory"; });
  reload();
  const auto told = manager.told();
  EXPECT_TRUE(told.starts_with("STATUS=no rules are enforced yet")) << told;
  EXPECT_EQ(told.find("READY"), std::string::npos) << told;
  path_->failures.clear();
  reload();
  EXPECT_NE(manager.told().find("READY=1\n"), std::string::npos);
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
  EXPECT_TRUE(has_code(code::nobody_allowed));
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
  EXPECT_TRUE(daemon_->remove_rule({"d1", daemon_->rules("d1").value()[0].id, "", ""}, {}));
}

TEST_F(DaemonTest, SaysThatThereIsNoRoomToHoldDownWhatHasLeft) {
  folder_.put("moat.yaml",
              "interfaces: [moat-a]\ndrop-sessions: false\nmanaged-range-updates: {guard: off}\n");
  folder_.put("databases.d/orders.yaml", "database: orders\nendpoint: {port: 5432}\nrules: []\n");
  for (unsigned i = 0; i < overlaps::too_many; i++)
    folder_.put("databases.d/d" + std::to_string(i) + ".yaml", overlaps::database_of_range(i));
  const std::string last = "- id: mr-15\n  cidrs: []\n";
  folder_.put("managed-ranges.d/r.yaml",
              overlaps::overlapping_ranges(overlaps::too_many - 1) + last);
  start();
  ASSERT_TRUE(reload().enforced);
  folder_.put("managed-ranges.d/r.yaml",
              overlaps::overlapping_ranges(overlaps::too_many - 1, 0x28000000) + last);
  ASSERT_TRUE(reload().enforced);
  const auto status = daemon_->status();
  EXPECT_TRUE(status.held_down.empty());
  const auto notice = std::ranges::find(status.notices, code::not_held_down, &Problem::code);
  ASSERT_NE(notice, status.notices.end());
  EXPECT_EQ(notice->subject, "mr-0");
  EXPECT_TRUE(notice->message.starts_with("16384 prefixes that left managed range mr-0 at "))
      << notice->message;
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

TEST_F(DaemonTest, AFileThatIsBeingWrittenIsPending) {
  start();
  reload();
  std::ofstream file(folder_ / "databases.d/orders.yaml", std::ios::app);
  file << "  - cidr: 198.51.100.0/24\n" << std::flush;
  EXPECT_TRUE(reload().enforced);
  const auto status = daemon_->status();
  ASSERT_EQ(status.pending.size(), 1);
  EXPECT_EQ(status.pending[0].path, folder_ / "databases.d/orders.yaml");
  EXPECT_TRUE(not_enforced_by(status).contains("NOT what " + status.pending[0].path))
      << "so reload ends with 1";
  file.close();
  reload();
  EXPECT_TRUE(daemon_->status().pending.empty());
}

TEST_F(DaemonTest, AnotherFolderInMoatYamlIsToldAsTheCause) {
  start();
  reload();
  std::filesystem::create_directory(folder_ / "other.d");
  folder_.put("moat.yaml", "interfaces: [moat-a]\ndrop-sessions: false\ndatabases: other.d\n");
  reload();
  const auto status = daemon_->status();
  const auto file = std::ranges::find(status.files, FileState::vanished, &FileStatus::state);
  ASSERT_TRUE(file != status.files.end());
  EXPECT_TRUE(format_fault(file->faults.at(0))
                  .contains("names another folder now, " + (folder_ / "other.d")))
      << format_fault(file->faults.at(0));
  const auto edit = daemon_->add_rule({.cidr = "198.51.100.7/32"}, {});
  ASSERT_FALSE(edit);
  EXPECT_TRUE(
      edit.error().remedy.starts_with("moat.yaml names the folder " + (folder_ / "other.d")))
      << edit.error().remedy;
}

TEST_F(DaemonTest, AChangeThatTheFastPathDoesNotHaveIsLiveAndNotEnforced) {
  folder_.put("moat.yaml",
              "interfaces: [moat-a]\ndrop-sessions: false\nfast-path: {nic: net_null0}\n");
  start();
  ASSERT_TRUE(reload().enforced);
  EXPECT_TRUE(path_->wants_fast_path);
  orders("198.51.100.0/24");
  path_->failures["check_everywhere"] = "moat-dpdk judges by generation 1";
  const auto change = reload();
  EXPECT_FALSE(change.enforced);
  EXPECT_TRUE(change.is_behind);
  EXPECT_EQ(change.generation, 2);
  EXPECT_EQ(change.why_not, "moat-dpdk judges by generation 1");
  EXPECT_EQ(path_->table.header().generation, 2);
  EXPECT_EQ(daemon_->status().pending.size(), 1);
  EXPECT_TRUE(daemon_->why("198.51.100.9", "")->at(0).allowed) << "by what is live";
  EXPECT_FALSE(reload().enforced) << "and again";

  path_->failures.clear();
  const auto published = path_->published;
  EXPECT_TRUE(reload().enforced);
  EXPECT_EQ(path_->published, published) << "it is live already";
  EXPECT_TRUE(daemon_->status().pending.empty());
  EXPECT_EQ(daemon_->status().last->generation, 2);
}

TEST_F(DaemonTest, WhatIsWrongWithTheFastPathIsInTheStatusAndTheLog) {
  start([](FakePath& path) {
    path.fast = {.is_wanted = true, .problem = "no worker", .remedy = "start moat-dpdk"};
  });
  reload();
  EXPECT_TRUE(has_logged("the fast path: no worker (start moat-dpdk)"));
  EXPECT_EQ(daemon_->status().fast_path.problem, "no worker");
  EXPECT_EQ(daemon_->status().problems.size(), 1);
  EXPECT_TRUE(daemon_->status().ready) << "without a worker its NIC lets nothing in";
  path_->fast = {.is_wanted = true, .is_connected = true, .generation = 1};
  reload();
  EXPECT_TRUE(has_logged("no longer: the fast path: no worker"));
  EXPECT_EQ(daemon_->status().problems.size(), 0);
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
  EXPECT_TRUE(
      has_problem("the guard ends when moatd ends: nothing can be pinned: no bpf file system"));
}

// What the daemon itself meets. What a status tells by itself is tested there, and what needs a
// kernel or a clock end to end.
TEST_F(DaemonTest, ProblemsHaveTheirCodes) {
  folder_.put("sock", "in the way");
  start([](FakePath& path) {
    path.failures["drops"] = "no memory";
    path.failures["ensure_pins"] = "no bpf file system";
    path.backstop.problems = {"half of it is off"};
  });
  folder_.put("moat.yaml",
              "interfaces: [moat-a]\ndrop-sessions: false\n"
              "trusted-interfaces: [lo, moat-gone]\nsocket-readers: moat-no-such-group\n");
  folder_.put("databases.d/notes.YAML", "");
  reload();
  for (const auto code :
       {code::drops_unread, code::unpinned, code::backstop_doubtful, code::trusted_absent,
        code::readers_absent, code::file_passed_over, code::no_socket})
    EXPECT_TRUE(has_code(code)) << code;
  path_->failures["counters"] = "no such map";
  (void)daemon_->counters("");
  EXPECT_TRUE(has_code(code::counters_unread));
  path_->failures.clear();
  path_->failures["publish"] = "create map: Cannot allocate memory";
  orders("198.51.100.0/24");
  reload();
  EXPECT_TRUE(has_code(code::not_enforced));
  path_->failures.clear();
  path_->is_read = false;
  reload();
  EXPECT_TRUE(has_code(code::table_not_live));
  path_->is_read = true;
  path_->mended = {"the pin xdp was missing"};
  reload();
  EXPECT_TRUE(has_code(code::mended));
  folder_.put("moat.yaml", "interfaces: []\ndrop-sessions: false\nbackstop: false\n");
  reload();
  EXPECT_TRUE(has_code(code::interface_removed));
  EXPECT_TRUE(has_code(code::no_backstop));
  EXPECT_TRUE(has_code(code::nothing_configured));
  std::filesystem::remove_all(folder_ / "state/history");
  folder_.put("state/history", "in the way");
  orders("203.0.113.0/24");
  reload();
  EXPECT_TRUE(has_code(code::history_incomplete));
}

TEST_F(DaemonTest, WhatTheHistoryHadNoRoomForIsKeptOnceItHas) {
  start();
  reload();
  std::filesystem::remove_all(folder_ / "state/history");
  folder_.put("state/history", "in the way");
  orders("198.51.100.0/24");
  reload();
  orders("203.0.113.0/24");
  const auto latest = reload().generation;
  EXPECT_TRUE(has_code(code::history_incomplete));
  EXPECT_EQ(daemon_->history()->front().generation, latest) << "it is known all the same";
  EXPECT_TRUE(daemon_->roll_back(latest - 1, {.is_dry_run = true}));
  std::filesystem::remove(folder_ / "state/history");
  reload();
  EXPECT_FALSE(has_code(code::history_incomplete));
  for (const auto& [generation, cidr] :
       {std::pair(latest - 1, "198.51.100.0/24"), std::pair(latest, "203.0.113.0/24")}) {
    const auto entry = daemon_->generation(generation);
    ASSERT_TRUE(entry) << generation;
    EXPECT_TRUE(entry->files.front().text.contains(cidr)) << entry->files.front().text;
  }
  const auto told = daemon_->events(0)->events.size();
  daemon_.reset();
  start();
  EXPECT_EQ(daemon_->events(0)->events.size(), told) << "nor did the journal lose any";
}

TEST_F(DaemonTest, ARollbackLeavesTheAgentsFilesAlone) {
  const auto fleet = [&](const char* cidr) {
    folder_.put("databases.d/fleet.yaml",
                fmt::format("# moat-agent: the fleet\ndatabase: bills\nendpoint: {{port: 6432}}\n"
                            "rules:\n  - cidr: {}\n",
                            cidr));
  };
  fleet("192.0.2.1/32");
  start();
  const auto first = reload().generation;
  fleet("192.0.2.2/32");
  orders("198.51.100.0/24");
  reload();
  const auto back = daemon_->roll_back(first, {});
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_TRUE(folder_.get("databases.d/orders.yaml").contains("192.0.2.0/24"));
  EXPECT_TRUE(folder_.get("databases.d/fleet.yaml").contains("192.0.2.2/32"));
  EXPECT_FALSE(daemon_->roll_back(first, {})) << "there is nothing left to bring back";
}

TEST_F(DaemonTest, AnApplyByWhichNoRuleChangesIsInTheJournal) {
  start();
  folder_.put("databases.d/bills.yaml", "database: bills\nendpoint: {port: 6000}\nrules: []\n");
  reload();
  Peer ada;
  ada.user = "ada";
  const NewFiles files{
      {{"orders.yaml",
        "database: orders\nendpoint: {port: 5432}\nrules:\n  - cidr: 192.0.2.0/24\n"}},
      {}};
  const auto first = daemon_->apply(files, ada);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(first->generation, 1) << "bills stays guarded";
  EXPECT_EQ(first->unchanged, "");
  const auto events = daemon_->events(0)->events;
  EXPECT_EQ(events.back().kind, event_kind::change);
  EXPECT_TRUE(events.back().author.starts_with("ada"));
  EXPECT_EQ(events.back().message,
            "files applied: no rule in force changes, and generation 1 stays");

  const auto again = daemon_->apply(files, ada);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_TRUE(again->enforced);
  EXPECT_NE(again->unchanged, "") << "nothing is to be confirmed, or asked about";
  EXPECT_EQ(daemon_->events(0)->events.size(), events.size());
}

TEST_F(DaemonTest, WhoSaysThatTheClockIsRightIsInTheJournal) {
  start();
  reload();
  ASSERT_TRUE(daemon_->reset_clock({.uid = 1000, .pid = 1, .user = "ada"}));
  const auto events = daemon_->events(0)->events;
  const auto told = std::ranges::find_if(
      events, [](const Event& event) { return event.message.contains("the clock is right"); });
  ASSERT_NE(told, events.end());
  EXPECT_EQ(told->kind, event_kind::change);
  EXPECT_TRUE(told->author.starts_with("ada")) << told->author;
}

TEST_F(DaemonTest, RulesThatExpireHaveTheirCodes) {
  folder_.put("databases.d/orders.yaml",
              "database: orders\nendpoint: {port: 5432}\nrules:\n"
              "  - {cidr: 192.0.2.0/24, expires: 2020-01-01T00:00:00Z}\n");
  start();
  reload();
  EXPECT_TRUE(has_code(code::all_expired));
  folder_.put("databases.d/bills.yaml",
              "database: bills\nendpoint: {port: 6432}\nrules:\n  - cidr: 192.0.2.0/24\n"
              "  - {cidr: 198.51.100.0/24, expires: 2020-01-01T00:00:00Z}\n");
  reload();
  EXPECT_TRUE(has_code(code::rules_expired));
}

TEST_F(DaemonTest, AChangeThatLeavesNobodyAllowedSaysSo) {
  folder_.put("databases.d/bills.yaml", "database: bills\nendpoint: {port: 6432}\nrules: []\n");
  start();
  reload();
  EXPECT_TRUE(has_code(code::no_rules));
  EXPECT_TRUE(daemon_->status().problems.empty()) << "it may be meant";
  const RuleName rule{"orders", "", "192.0.2.0/24", "", ""};
  const auto removed = daemon_->remove_rule(rule, {});
  ASSERT_TRUE(removed) << removed.error().message;
  EXPECT_EQ(removed->closed, std::vector<std::string>{"orders"}) << "bills had no rule before";
  EXPECT_EQ(daemon_->set_mode("orders", Mode::monitor, {})->closed, std::vector<std::string>{});
  EXPECT_EQ(daemon_->set_mode("orders", Mode::enforce, {})->closed,
            std::vector<std::string>{"orders"});
}

TEST_F(DaemonTest, ProblemsBeginAndEndInTheJournalOnce) {
  start();
  reload();
  EXPECT_EQ(event_kinds_told(), (std::vector<std::string>{"change"}));
  path_->failures["ensure_pins"] = "no bpf file system";
  EXPECT_TRUE(has_code(code::unpinned));
  EXPECT_TRUE(has_code(code::unpinned));
  EXPECT_EQ(event_kinds_told(), (std::vector<std::string>{"change", "problem"}));
  EXPECT_EQ(daemon_->events(0)->events[1].code, "unpinned");
  daemon_.reset();
  start([](FakePath& path) { path.failures["ensure_pins"] = "no bpf file system"; });
  reload();
  EXPECT_EQ(std::ranges::count(event_kinds_told(), "problem"), 1) << "it goes on";
  path_->failures.clear();
  EXPECT_FALSE(has_code(code::unpinned));
  EXPECT_EQ(event_kinds_told().back(), "problem-over");
}

TEST_F(DaemonTest, AChangeOfMoatYamlIsToldWithWhatChangedAndByWhomItWasWritten) {
  folder_.put("databases.d/orders.yaml",
              "database: orders\nendpoint: {port: 5432}\nmode: enforce\nrules: []\n");
  start();
  reload();
  const auto yaml = folder_.get("moat.yaml");
  folder_.put("moat.yaml", yaml + "mode: monitor\npropagation: {bound: 100s}\n");
  const auto first = daemon_->events(0)->next;
  ASSERT_TRUE(daemon_->add_rule({.cidr = "198.51.100.7/32"}, {.uid = 1000, .user = "ada"}));
  std::size_t told = 0;
  const auto events = daemon_->events(first)->events;
  for (const auto& event : events) {
    const bool is_ada = event.author.starts_with("ada");
    if (event.message.contains("198.51.100.7/32")) {
      EXPECT_TRUE(is_ada) << event.author;
      EXPECT_TRUE(event.message.contains("; moat.yaml, written by ")) << event.message;
      EXPECT_TRUE(event.message.contains(": mode enforce -> monitor, bound 120000ms -> 100000ms"))
          << event.message;
      told++;
    } else if (event.message == "the host (moat.yaml): monitor mode from now on") {
      EXPECT_FALSE(is_ada) << event.message;
      told++;
    }
  }
  EXPECT_EQ(told, 2);
  folder_.put("moat.yaml", yaml + "mode: monitor\npropagation: {bound: 90s}\n");
  reload();
  const auto last = daemon_->events(0)->events.back().message;
  EXPECT_TRUE(last.contains("bound 100000ms -> 90000ms")) << last;
}

TEST_F(DaemonTest, ModesAndInterfacesAreToldAsTheyChange) {
  start();
  reload();
  folder_.put("moat.yaml", "interfaces: [moat-a]\ndrop-sessions: false\nmode: monitor\n");
  reload();
  path_->interfaces.erase("moat-a");
  (void)daemon_->status();
  const auto events = daemon_->events(0)->events;
  const auto told = [&](std::string_view kind, std::string_view text) {
    return std::ranges::any_of(events, [&](const Event& event) {
      return event.kind == kind && event.message.contains(text);
    });
  };
  EXPECT_TRUE(told("mode", "database orders: monitor mode from now on"));
  EXPECT_TRUE(told("interface", "interface moat-a: native mode -> absent"));
  EXPECT_TRUE(told("problem", "the host has no such interface"));
}

TEST_F(DaemonTest, AnEditForAnotherVersionOfTheRulesIsRefused) {
  start();
  reload();
  const auto version = daemon_->version("orders");
  ASSERT_TRUE(version);
  EXPECT_EQ(daemon_->databases()->at(0).version, *version);
  Peer peer;
  peer.versions = {*version};
  const NewRule rule{.database = "orders", .cidr = "198.51.100.1/32"};
  ASSERT_TRUE(daemon_->add_rule(rule, peer));
  EXPECT_NE(*daemon_->version("orders"), *version);
  const auto refused = daemon_->remove_rule({.cidr = "198.51.100.1/32"}, peer);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Refusal::Kind::changed);
  const NewNetPeering peering{.database = "orders", .id = "pcx-1", .cidr = "10.42.0.0/16"};
  const auto registered = daemon_->add_net_peering(peering, peer);
  ASSERT_FALSE(registered);
  EXPECT_EQ(registered.error().kind, Refusal::Kind::changed);
  const auto removed = daemon_->remove_net_peering({"orders", "pcx-1"}, peer);
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().kind, Refusal::Kind::changed);
  peer.versions.push_back(*daemon_->version(""));
  EXPECT_TRUE(daemon_->remove_rule({.cidr = "198.51.100.1/32"}, peer)) << "that of all";
  EXPECT_FALSE(daemon_->version("sales"));
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

TEST_F(DaemonTest, AChangeWithoutAStateSaysWhatHoldsAllTheSame) {
  start();
  reload();
  std::filesystem::remove_all(folder_ / "state");
  folder_.put("state", "in the way");
  const auto warning = [](const ServiceResult<ChangeView>& change) {
    EXPECT_TRUE(change && change->warnings.size() == 1);
    if (!change || change->warnings.size() != 1) return std::string();
    EXPECT_TRUE(change->warnings[0].message.starts_with("the state is not saved"));
    return change->warnings[0].remedy;
  };
  const auto added = daemon_->add_rule({.cidr = "198.51.100.0/24"}, {});
  EXPECT_EQ(warning(added), "the file is changed, and what it says is enforced");
  EXPECT_EQ(warning(daemon_->remove_rule({.database = "orders", .id = added->rule_id}, {})),
            "the file is changed, and what it says is enforced");
  path_->failures["publish"] = "create map: Cannot allocate memory";
  EXPECT_EQ(warning(daemon_->add_rule({.cidr = "198.51.100.0/24"}, {})), "the file is changed");
  path_->failures.clear();
  std::filesystem::remove(folder_ / "databases.d/orders.yaml");
  EXPECT_EQ(warning(daemon_->forget("orders", {})),
            "if moatd starts anew before the state is saved, it may guard the database again");
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

TEST_F(DaemonTest, SaysAtTheStartThatItTookOverWhatWasInForce) {
  start([](FakePath& path) { path.adopted = "it took over the rules in force"; });
  EXPECT_TRUE(has_logged("it took over the rules in force; "));
  daemon_.reset();
  start();
  EXPECT_TRUE(has_logged("nothing is pinned; "));
}

TEST_F(DaemonTest, DetachEndsTheGuard) {
  start();
  reload();
  const auto done = daemon_->detach({});
  ASSERT_TRUE(done);
  EXPECT_TRUE(done->is_detached);
  EXPECT_FALSE(done->enforced) << "nothing is, any more";
  EXPECT_EQ(done->generation, 0);
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

TEST_F(DaemonTest, AnEditTellsWhichOfItsDatabasesDropNothing) {
  folder_.put("databases.d/bills.yaml",
              "database: bills\nendpoint: {port: 6432}\nmode: monitor\nrules: []\n");
  start();
  reload();
  const auto enforcing = daemon_->add_rule({.database = "orders", .cidr = "198.51.100.7/32"}, {});
  ASSERT_TRUE(enforcing) << enforcing.error().message;
  EXPECT_TRUE(enforcing->monitored.empty());
  const auto watching = daemon_->add_rule({.database = "bills", .cidr = "198.51.100.7/32"}, {});
  ASSERT_TRUE(watching) << watching.error().message;
  EXPECT_EQ(watching->monitored, std::vector<std::string>{"bills"});
  EXPECT_EQ(reload().monitored, std::vector<std::string>{"bills"});
}

// On a host of its own: moat-a is 198.51.100.5, docker0 leads to 172.30.0.0/24 and is trusted.
class DaemonTestAsRoot : public DaemonTest {
 protected:
  void SetUp() override {
    ASSERT_TRUE(enter_own_netns()) << "needs root";
    ASSERT_TRUE(
        run("ip link add moat-a type veth peer name far-a && ip link set moat-a up && "
            "ip addr add 198.51.100.5/24 dev moat-a && ip link set far-a up && "
            "ip link add docker0 type bridge && ip link set docker0 up && "
            "ip addr add 172.30.0.1/24 dev docker0"));
    DaemonTest::SetUp();
    // The other end of moat-a is here as well, and is nobody's way in.
    put_config("trusted-interfaces: [lo, far-a, docker0]\n");
  }
  void put_config(const std::string& more) {
    folder_.put("moat.yaml", "interfaces: [moat-a]\ndrop-sessions: false\n" + more);
  }
  std::string trusted_way(const std::string& source) {
    const auto why = daemon_->why(source, "");
    return why ? why->at(0).trusted_way : why.error().message;
  }
};

TEST_F(DaemonTestAsRoot, WhyKnowsTheTrustedInterfaceToWhichTheRouteLeads) {
  ASSERT_TRUE(run("ip addr add fd00:30::1/64 dev docker0 nodad"));
  start();
  reload();
  EXPECT_EQ(trusted_way("172.30.0.2"), "docker0");
  EXPECT_EQ(trusted_way("fd00:30::2"), "docker0");
  EXPECT_EQ(trusted_way("198.51.100.9"), "") << "Moat's program drops it there";
  EXPECT_EQ(trusted_way("203.0.113.1"), "") << "there is no route";
  EXPECT_EQ(trusted_way("172.30.0.1"), "") << "the host's own";
  EXPECT_EQ(trusted_way("192.0.2.9"), "") << "allowed";
  put_config("trusted-interfaces: [lo]\n");
  reload();
  EXPECT_EQ(trusted_way("172.30.0.2"), "");
}

TEST_F(DaemonTestAsRoot, AnInterfaceThatIsNotNamedIsOpenWithoutTheBackstop) {
  ASSERT_TRUE(run("ip link add eth1 type veth peer name far-1 && ip link set eth1 up"));
  start();
  reload();
  EXPECT_TRUE(daemon_->status().open_interfaces.empty());
  put_config("backstop: false\ntrusted-interfaces: [lo, far-a, docker0]\n");
  reload();
  EXPECT_EQ(daemon_->status().open_interfaces, (std::vector<std::string>{"eth1"}));
  EXPECT_EQ(daemon_->status().problems.size(), 1);
}

TEST_F(DaemonTestAsRoot, ADatabaseThatTakesTheHostsOnlyAddressIsAProblem) {
  const std::string database =
      "database: orders\nendpoint: {ports: all, address: 198.51.100.5, ipv6: open}\nrules: []\n";
  folder_.put("databases.d/orders.yaml", database);
  start();
  reload();
  EXPECT_FALSE(has_code(code::host_closed)) << "the host has two";
  ASSERT_TRUE(run("ip addr flush dev docker0"));
  EXPECT_TRUE(has_code(code::host_closed));
  EXPECT_TRUE(
      has_problem("database orders closes every port of this host's only address, SSH included, to "
                  "all but its rules"));
  folder_.put("databases.d/orders.yaml", database + "mode: monitor\n");
  reload();
  EXPECT_FALSE(has_code(code::host_closed));
}

TEST_F(DaemonTestAsRoot, ADatabaseWhoseAddressHasGoneIsAProblemWhileSomethingListens) {
  folder_.put("databases.d/orders.yaml",
              "database: orders\nendpoint: {port: 5432, address: 198.51.100.5}\nrules: []\n");
  start();
  reload();
  EXPECT_EQ(daemon_->status().problems.size(), 0);
  ASSERT_TRUE(
      run("ip addr add 198.51.100.6/24 dev moat-a && ip addr del 198.51.100.5/24 dev "
          "moat-a && ip addr add 198.51.100.6/24 dev moat-a 2>/dev/null || true"));
  EXPECT_EQ(daemon_->status().problems.size(), 0) << "nothing listens";
  EXPECT_TRUE(has_code(code::address_absent));
  const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in any = {
      .sin_family = AF_INET, .sin_port = htons(5432), .sin_addr = {}, .sin_zero = {}};
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  EXPECT_TRUE(has_problem("port 5432 is open to everybody at 172.30.0.1, 198.51.100.6"));
  EXPECT_TRUE(has_code(code::address_gone));
  EXPECT_TRUE(has_code(code::unguarded_listener));
}

}  // namespace
}  // namespace moat
