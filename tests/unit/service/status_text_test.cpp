// SPDX-License-Identifier: BSD-2-Clause
#include "control/service/status_text.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <utility>

namespace moat {
namespace {

InterfaceStatus attached(std::string name, AttachMode mode = AttachMode::native) {
  return {std::move(name), true, mode, 42, false, "", ""};
}

StatusView well() {
  StatusView status;
  status.generation = 18;
  status.databases = 2;
  status.interfaces = {attached("eth0")};
  status.backstop = {true, true, "/sys/fs/cgroup", "", true, true, ""};
  status.files = {{"orders.yaml", "orders", FileState::active, {}}};
  return status;
}

// As the daemon tells it.
StatusView told(StatusView status) {
  add_problems(status);
  return status;
}

TEST(Headline, SaysThatAllIsWell) {
  EXPECT_EQ(headline(well()), "Guarding 2 databases on eth0; all rules enforced.");
  EXPECT_TRUE(is_well(well()));
  auto one = well();
  one.databases = 1;
  one.interfaces.push_back(attached("eth1", AttachMode::generic));
  EXPECT_EQ(headline(one), "Guarding 1 database on eth0, eth1; all rules enforced.");
}

TEST(Headline, KnowsNoMonitorModeWhereEachDatabaseEnforces) {
  auto status = well();
  status.mode = Mode::monitor;
  EXPECT_EQ(told(status).headline, "Guarding 2 databases on eth0; all rules enforced.");
  EXPECT_TRUE(is_well(status));
  EXPECT_TRUE(told(status).notices.empty());
  status.monitored = {"orders"};
  const auto notices = told(status).notices;
  ASSERT_EQ(notices.size(), 1);
  EXPECT_TRUE(notices[0].message.starts_with("database orders is in monitor mode"));
  EXPECT_EQ(notices[0].remedy, "moat preflight; then, to drop: moat databases enforce orders");
}

TEST(Headline, TellsHowToDropAfterALookAndOnlyWithAFileThatHolds) {
  const auto remedy = [](const StatusView& status) {
    const auto notices = told(status).notices;
    const auto found = std::ranges::find(notices, code::monitor, &Problem::code);
    return found == notices.end() ? "" : found->remedy;
  };
  auto status = well();
  status.mode = Mode::monitor;
  status.monitored = {"bills", "orders"};
  EXPECT_EQ(remedy(status),
            "moat preflight; then, to drop: moat databases enforce ID, for each database");
  status.databases = 1;
  status.monitored = {"orders"};
  EXPECT_EQ(remedy(status), "moat preflight; then, to drop: moat databases enforce orders");
  status.databases = 2;
  status.placeholders = {"orders"};
  status.files = {{"orders.yaml", "orders", FileState::held_back, {}}};
  EXPECT_EQ(remedy(status), "mend its file first: moat check orders.yaml");
}

TEST(Problems, NameTheCgroupOfAListenerThatTheBackstopDoesNotHold) {
  auto status = well();
  status.backstop.cgroup = "/cgroup/database";
  status.outside_backstop = {{5432, "/cgroup/other"}, {6432, ""}};
  const auto found = told(status).problems;
  ASSERT_EQ(found.size(), 2);
  EXPECT_EQ(found[0].message,
            "port 5432 is NOT GUARDED by the backstop: what listens there is in cgroup "
            "/cgroup/other, and backstop-cgroup is /cgroup/database");
  EXPECT_EQ(found[0].remedy, "name the database's cgroup, or leave backstop-cgroup out");
  EXPECT_TRUE(found[1].message.contains("is in a cgroup that is gone, and"));
}

FastPathStatus fast_path() {
  return {.is_wanted = true,
          .is_connected = true,
          .generation = 18,
          .ports = {{.name = "net_af_xdp0", .interface = "eth1", .has_link = true},
                    {.name = "net_tap0", .interface = "moat0", .has_link = true}}};
}

TEST(Headline, NamesTheFastPathsKernelPort) {
  auto status = well();
  status.fast_path = fast_path();
  EXPECT_EQ(headline(status), "Guarding 2 databases on eth0, moat0; all rules enforced.");
  EXPECT_TRUE(is_well(status));
  status.interfaces.clear();
  status.backstop = {};
  EXPECT_EQ(headline(status), "Guarding 2 databases on moat0; all rules enforced.");
}

TEST(Problems, NameTheFastPathsWithItsRemedy) {
  auto status = well();
  status.fast_path = fast_path();
  status.fast_path.ports[0].problem = "MTU 9000 is more than the buffers hold";
  status.fast_path.problem = "moat-dpdk does not answer";
  status.fast_path.remedy = "restart it";
  const auto found = told(status).problems;
  ASSERT_EQ(found.size(), 2);
  EXPECT_EQ(found[0].message, "the fast path: moat-dpdk does not answer");
  EXPECT_EQ(found[0].remedy, "restart it");
  EXPECT_EQ(found[1].message,
            "the fast path's port net_af_xdp0: MTU 9000 is more than the buffers hold");
  EXPECT_EQ(not_enforced_by(status), "the fast path has a problem");
}

struct Case {
  const char* name;
  void (*spoil)(StatusView&);
  const char* headline;
};

class HeadlineTest : public testing::TestWithParam<Case> {};

TEST_P(HeadlineTest, SaysWhatIsWrong) {
  auto status = well();
  GetParam().spoil(status);
  add_problems(status);
  EXPECT_EQ(status.headline, GetParam().headline);
  EXPECT_FALSE(is_well(status));
}

INSTANTIATE_TEST_SUITE_P(
    Cases, HeadlineTest,
    testing::Values(
        Case{"NothingEnforced", [](StatusView& s) { s.generation = 0; },
             "NOT GUARDING anything: no rules are enforced yet."},
        Case{"NoInterface",
             [](StatusView& s) {
               s.interfaces[0].mode = AttachMode::none;
               s.backstop.at_sockets = s.backstop.before_sockets = false;
             },
             "NOT GUARDING 2 databases: Moat's program is on no interface; the backstop is off."},
        Case{"NothingWanted",
             [](StatusView& s) {
               s.interfaces.clear();
               s.backstop = {};
             },
             "NOT GUARDING 2 databases: Moat's program is on no interface."},
        Case{"BackstopAlone", [](StatusView& s) { s.interfaces[0].mode = AttachMode::none; },
             "Guarding 2 databases by the backstop alone."},
        Case{"NoFastPath",
             [](StatusView& s) { s.fast_path = {.is_wanted = true, .problem = "reach it"}; },
             "Guarding 2 databases on eth0; the fast path is not reached."},
        Case{"FastPathBehind",
             [](StatusView& s) {
               s.fast_path = fast_path();
               s.fast_path.generation = 17;
               s.fast_path.is_behind = true;
               s.fast_path.problem = "refuses";
             },
             "Guarding 2 databases on eth0, moat0; the fast path does NOT have these rules."},
        Case{"ForeignProgram",
             [](StatusView& s) {
               s.interfaces.push_back(attached("eth1"));
               s.interfaces[1].foreign = true;
             },
             "Guarding 2 databases on eth0; NOT on eth1."},
        Case{"OpenInterface",
             [](StatusView& s) {
               s.backstop = {};
               s.open_interfaces = {"eth1", "eth2"};
             },
             "Guarding 2 databases on eth0; OPEN by eth1, eth2."},
        Case{"NotGuarded", [](StatusView& s) { s.files[0].state = FileState::not_guarded; },
             "Guarding 2 databases on eth0; 1 database file is NOT GUARDED."},
        Case{"HeldBack", [](StatusView& s) { s.files[0].state = FileState::held_back; },
             "Guarding 2 databases on eth0; 1 rule file is held back."},
        Case{"Vanished", [](StatusView& s) { s.files[0].state = FileState::vanished; },
             "Guarding 2 databases on eth0; 1 rule file has vanished."},
        Case{"Withdrawn", [](StatusView& s) { s.withdrawn = {"mr-a"}; },
             "Guarding 2 databases on eth0; 1 managed range is withdrawn."},
        Case{"Overdue", [](StatusView& s) { s.pending = {{"a.yaml", {}, {}, {}, 0, true}}; },
             "Guarding 2 databases on eth0; 1 change is overdue."},
        Case{"Pending", [](StatusView& s) { s.pending = {{"a.yaml", {}, {}, {}, 0, false}}; },
             "Guarding 2 databases on eth0; 1 change is pending."},
        Case{"BackstopOff",
             [](StatusView& s) { s.backstop.at_sockets = s.backstop.before_sockets = false; },
             "Guarding 2 databases on eth0; the backstop is off."},
        Case{"BackstopOffAtSockets", [](StatusView& s) { s.backstop.at_sockets = false; },
             "Guarding 2 databases on eth0; the backstop is off at sockets."},
        Case{"BackstopOffBeforeSockets", [](StatusView& s) { s.backstop.before_sockets = false; },
             "Guarding 2 databases on eth0; the backstop is off before sockets."},
        Case{"Unpinned",
             [](StatusView& s) { s.problems = {make_problem(code::unpinned, "", "no bpffs")}; },
             "Guarding 2 databases on eth0; the guard ends when moatd ends."},
        Case{"OutsideTheBackstop",
             [](StatusView& s) { s.outside_backstop = {{5432, "/a"}, {5432, ""}, {6432, "/a"}}; },
             "Guarding 2 databases on eth0; the backstop does NOT guard ports 5432, 6432."},
        Case{"NoInterfaceAndOutsideTheBackstop",
             [](StatusView& s) {
               s.interfaces[0].mode = AttachMode::none;
               s.outside_backstop = {{5432, "/a"}};
             },
             "NOT GUARDING port 5432: Moat's program is on no interface; the backstop does NOT "
             "guard "
             "port 5432."},
        Case{"Problems",
             [](StatusView& s) {
               s.problems = {make_problem(code::state_not_saved, "", "a"),
                             make_problem("of-a-later-moatd", "", "b")};
             },
             "Guarding 2 databases on eth0; 2 problems."},
        Case{"OtherProblem",
             [](StatusView& s) {
               s.backstop.at_sockets = s.backstop.before_sockets = false;
               s.problems = {make_problem(code::drops_unread, "", "a")};
             },
             "Guarding 2 databases on eth0; the backstop is off; 1 other problem."},
        Case{"OnlyARefusedFile",
             [](StatusView& s) {
               s.databases = 0;
               s.files[0].state = FileState::not_guarded;
             },
             "NOT GUARDING anything; 1 database file is NOT GUARDED."},
        Case{"AddressGone",
             [](StatusView& s) {
               s.problems = {make_problem(code::address_gone, "orders", "port 5432 is open")};
             },
             "Guarding 2 databases on eth0; 1 database is OPEN, as the host has not its address."},
        Case{"OpenIpv6",
             [](StatusView& s) {
               s.problems = {make_problem(code::open_ipv6, "a", "guards IPv4 alone")};
             },
             "Guarding 2 databases on eth0; 1 database is open by IPv6."},
        Case{"PastTheGuard",
             [](StatusView& s) {
               s.problems = {make_problem(code::nat_past_guard, "orders", "port 5400")};
             },
             "Guarding 2 databases on eth0; NAT leads past the guard."},
        Case{"NoDatabase", [](StatusView& s) { s.databases = 0; },
             "NOT GUARDING anything: no rule file names a database."},
        Case{"ExposedPorts",
             [](StatusView& s) {
               s.problems = {make_problem(code::port_exposed, "orders", "port 5432 is open")};
             },
             "Guarding 2 databases on eth0; 1 port, once guarded, is open."},
        Case{"NoRules",
             [](StatusView& s) { s.notices = {make_problem(code::no_rules, "bills", "a")}; },
             "Guarding 2 databases on eth0; nobody is allowed to bills: it has no rules."},
        Case{"NoRulesOfSeveral",
             [](StatusView& s) { s.notices.assign(4, make_problem(code::no_rules, "bills", "a")); },
             "Guarding 2 databases on eth0; 4 databases have no rules: nobody is allowed."},
        Case{"AllExpired",
             [](StatusView& s) {
               s.problems = {make_problem(code::all_expired, "bills", "a"),
                             make_problem(code::all_expired, "orders", "b")};
             },
             "Guarding 2 databases on eth0; all rules of bills, orders have expired."},
        Case{"Monitor",
             [](StatusView& s) {
               s.mode = Mode::monitor;
               s.monitored = {"bills", "orders"};
             },
             "Only watching 2 databases on eth0; monitor mode: nothing is dropped."},
        Case{"MonitorOfOneDatabase", [](StatusView& s) { s.monitored = {"orders"}; },
             "Guarding 2 databases on eth0; monitor mode: nothing is dropped for orders."},
        Case{"MonitorWithoutADatabase",
             [](StatusView& s) {
               s.mode = Mode::monitor;
               s.databases = 0;
             },
             "NOT GUARDING anything: no rule file names a database; monitor mode: nothing is "
             "dropped."}),
    [](const auto& test) { return test.param.name; });

std::vector<std::string> messages(const std::vector<Problem>& problems) {
  std::vector<std::string> texts;
  for (const auto& problem : problems) texts.push_back(problem.message);
  return texts;
}

TEST(Problems, PutWhatIsNotGuardedFirst) {
  auto status = well();
  status.files = {{"a.yaml", "a", FileState::held_back, {}},
                  {"b.yaml", "", FileState::not_guarded, {}}};
  status.interfaces.push_back({"eth1", true, AttachMode::none, 0, false, "no driver", "load it"});
  status.pending = {{"c.yaml", {}, {}, {}, 0, true}, {"d.yaml", {}, {}, {}, 0, false}};
  status.placeholders = {"a"};
  status.problems = {make_problem(code::state_not_saved, "", "disk full"),
                     make_problem(code::unpinned, "", "no bpf filesystem")};
  add_problems(status);
  EXPECT_EQ(messages(status.problems),
            (std::vector<std::string>{
                "NOT GUARDED: b.yaml: its ports are open until this is mended",
                "Moat's program is not on eth1: no driver. The backstop judges what comes by it",
                "overdue: c.yaml is not enforced within 120 s",
                "held back: a (a.yaml): guarded, and nobody is allowed", "no bpf filesystem",
                "disk full"}));
  EXPECT_EQ(status.problems[1].remedy, "load it");
}

TEST(Problems, SayThatNothingJudgesAnInterfaceWithoutTheBackstop) {
  auto status = well();
  status.backstop = {};
  status.interfaces = {{"eth1", true, AttachMode::native, 9, true, "", ""},
                       {"eth9", false, AttachMode::none, 0, false, "", "did you mean eth0?"}};
  const auto found = told(status).problems;
  ASSERT_EQ(found.size(), 2);
  EXPECT_EQ(found[0].message,
            "eth9: the host has no such interface; it is guarded once it appears");
  EXPECT_EQ(found[0].remedy, "did you mean eth0?");
  EXPECT_EQ(found[1].message, "eth1 is NOT GUARDED: somebody else's XDP program (9) is on it");
  EXPECT_NE(found[1].remedy, "");
}

TEST(Problems, SayThatMoatYamlHasNothingGuard) {
  auto status = well();
  status.interfaces.clear();
  EXPECT_TRUE(told(status).problems.empty()) << "the backstop judges";
  status.backstop = {};
  const auto found = told(status).problems;
  ASSERT_EQ(found.size(), 1);
  EXPECT_EQ(
      found[0].message,
      "NOT GUARDED: moat.yaml names no interface and has `backstop: false`: all ports are open");
  EXPECT_EQ(found[0].remedy,
            "name the interface of the clients in `interfaces`, or write `backstop: true`");
  EXPECT_EQ(not_enforced_by(status),
            "NOTHING is guarded: moat.yaml names no interface and has `backstop: false`");
}

TEST(Problems, NameTheInterfacesThatStayOpenWithoutTheBackstop) {
  auto status = well();
  status.backstop = {};
  EXPECT_TRUE(told(status).problems.empty());
  status.open_interfaces = {"eth1"};
  const auto found = told(status).problems;
  ASSERT_EQ(found.size(), 1);
  EXPECT_EQ(found[0].message,
            "NOT GUARDED: what comes by eth1: moat.yaml does not name it, and the backstop is off");
  EXPECT_EQ(unjudged(status),
            "Moat's program is on eth0 alone, and there is no backstop: by eth1 the packet gets "
            "in");
}

TEST(Problems, SayThatAnInterfaceWasMovedAway) {
  auto status = well();
  status.interfaces.push_back({"eth1", false, AttachMode::none, 0, false,
                               "it is in another network namespace, and Moat's program still on it",
                               "move it back", true});
  const auto found = told(status).problems;
  ASSERT_EQ(found.size(), 1);
  EXPECT_EQ(found[0].message,
            "eth1 was moved away (into a container?): it is in another network namespace, and "
            "Moat's program still on it, which drops there by these rules");
  EXPECT_EQ(found[0].subject, "eth1");
  EXPECT_EQ(not_enforced_by(status),
            "NOT on eth1: it is in another network namespace, and Moat's program still on it");
}

TEST(Problems, AreWhatIsToldAsWrongAndNoMode) {
  auto status = well();
  EXPECT_TRUE(told(status).problems.empty());
  status.mode = Mode::monitor;
  status.monitored = {"bills", "orders"};
  EXPECT_TRUE(told(status).problems.empty()) << "somebody has chosen that";
  status.withdrawn = {"mr-a"};
  EXPECT_EQ(told(status).problems.size(), 1) << "check calls it an error";
  EXPECT_FALSE(told(StatusView{}).problems.empty()) << "nothing is enforced";
}

// Each kind that a status tells by itself, and how it comes about. The rest is found by the daemon
// and the command, whose tests reach it.
TEST(Problems, OfEachKindAreReached) {
  using Spoil = void (*)(StatusView&);
  const std::vector<std::pair<std::string_view, Spoil>> kinds{
      {code::nothing_enforced, [](StatusView& s) { s.generation = 0; }},
      {code::nothing_configured,
       [](StatusView& s) {
         s.interfaces.clear();
         s.backstop = {};
       }},
      {code::no_database, [](StatusView& s) { s.databases = 0; }},
      {code::not_guarded, [](StatusView& s) { s.files[0].state = FileState::not_guarded; }},
      {code::interface_moved,
       [](StatusView& s) {
         s.interfaces[0] = {"eth0", false, AttachMode::none, 0, false, "", "", true};
       }},
      {code::interface_absent,
       [](StatusView& s) {
         s.interfaces[0] = {"eth0", false, AttachMode::none, 0, false, "", ""};
       }},
      {code::interface_foreign, [](StatusView& s) { s.interfaces[0].foreign = true; }},
      {code::interface_unattached, [](StatusView& s) { s.interfaces[0].mode = AttachMode::none; }},
      {code::interface_open, [](StatusView& s) { s.open_interfaces = {"eth1"}; }},
      {code::open_to_all, [](StatusView& s) { s.wide = {{"orders", 1, true}}; }},
      {code::open_to_most, [](StatusView& s) { s.wide = {{"orders", 1, false}}; }},
      {code::overdue, [](StatusView& s) { s.pending = {{"a.yaml", {}, {}, {}, 0, true}}; }},
      {code::unconfirmed, [](StatusView& s) { s.trial = TrialView{"", 17, "ada", {}}; }},
      {code::held_back, [](StatusView& s) { s.files[0].state = FileState::held_back; }},
      {code::vanished, [](StatusView& s) { s.files[0].state = FileState::vanished; }},
      {code::range_withdrawn, [](StatusView& s) { s.withdrawn = {"mr-a"}; }},
      {code::fast_path_unreached,
       [](StatusView& s) { s.fast_path = {.is_wanted = true, .problem = "a"}; }},
      {code::fast_path_behind,
       [](StatusView& s) {
         s.fast_path = {.is_connected = true, .is_behind = true, .problem = "a"};
       }},
      {code::fast_path,
       [](StatusView& s) { s.fast_path = {.is_connected = true, .problem = "a"}; }},
      {code::fast_path_port,
       [](StatusView& s) { s.fast_path.ports = {{.name = "p", .problem = "a"}}; }},
      {code::backstop_off,
       [](StatusView& s) { s.backstop.at_sockets = s.backstop.before_sockets = false; }},
      {code::backstop_off_at_sockets,
       [](StatusView& s) {
         s.backstop.at_sockets = false;
         s.backstop.not_at = "a";
       }},
      {code::backstop_off_before_sockets, [](StatusView& s) { s.backstop.before_sockets = false; }},
      {code::outside_backstop, [](StatusView& s) { s.outside_backstop = {{5432, "/a"}}; }},
      {code::pending, [](StatusView& s) { s.pending = {{"a.yaml", {}, {}, {}, 0, false}}; }},
      {code::monitor, [](StatusView& s) { s.monitored = {"orders"}; }},
      {code::generic_mode, [](StatusView& s) { s.interfaces[0].mode = AttachMode::generic; }},
      {code::native_mode, [](StatusView& s) { s.settings.attach = WantedAttach::generic; }},
      {code::file_warnings, [](StatusView& s) { s.files[0].faults.resize(1); }},
  };
  for (const auto& [code, spoil] : kinds) {
    auto status = well();
    spoil(status);
    add_problems(status);
    const bool is_problem = find_problem_kind(code)->is_problem;
    const auto& all = is_problem ? status.problems : status.notices;
    const auto found = std::ranges::find(all, code, &Problem::code);
    ASSERT_NE(found, all.end()) << code;
    EXPECT_FALSE(found->message.empty()) << code;
    EXPECT_FALSE(found->remedy.empty()) << code;
  }
}

// That a test reaches each kind, by its constant or its code. Not reached: what needs a kernel or a
// host that fails in a way that no test can have it fail.
TEST(ProblemKinds, AreReachedByTests) {
  const std::set<std::string_view> unreached{code::files_unwatched, code::host_unread,
                                             code::trial_not_kept,  code::sessions_not_ended,
                                             code::kernel_limit,    code::nat_unread};
  std::string tests;
  for (const auto* path :
       {"tests/unit/service/status_text_test.cpp", "tests/unit/daemon/daemon_test.cpp",
        "tests/unit/daemon/agent_report_test.cpp", "tests/unit/cli/moat_test.cpp",
        "tests/e2e/daemon/daemon_test.py", "tests/e2e/backstop/end_sessions.sh"}) {
    std::ifstream file(path);
    tests.append(std::istreambuf_iterator<char>(file), {});
  }
  for (const auto& kind : problem_kinds()) {
    if (unreached.contains(kind.code)) continue;
    auto name = "code::" + std::string(kind.code);
    std::ranges::replace(name, '-', '_');
    EXPECT_TRUE(tests.contains(name) || tests.contains("\"" + std::string(kind.code) + "\""))
        << kind.code;
  }
}

// By the lines of the manual's table, a row each.
TEST(ProblemKinds, AreInTheManualAsTheyAreInTheCode) {
  std::string table;
  for (const auto& kind : problem_kinds()) {
    if (kind.code == code::pending) table += "\n";  // from here on, notices
    table += "|  " + std::string(kind.code) + "\n:  " + std::string(kind.meaning) +
             "\n:  " + std::string(kind.remedy) + "\n";
  }
  std::ifstream file("control/daemon/moatd.8.scd");
  const std::string manual{std::istreambuf_iterator<char>(file), {}};
  for (const auto& part :
       {table.substr(0, table.find("\n\n") + 1), table.substr(table.find("\n\n") + 2)}) {
    EXPECT_TRUE(manual.contains(part)) << "PROBLEMS in moatd(8) should have:\n" << part;
  }
}

TEST(ProblemKinds, AreSoundAndOneOfEach) {
  std::set<std::string_view> codes;
  bool has_notice = false;
  for (const auto& kind : problem_kinds()) {
    EXPECT_TRUE(codes.insert(kind.code).second) << kind.code;
    EXPECT_TRUE(kind.code.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") ==
                std::string_view::npos)
        << kind.code;
    EXPECT_TRUE(kind.meaning.ends_with('.')) << kind.code;
    EXPECT_FALSE(kind.remedy.empty()) << kind.code;
    EXPECT_TRUE(kind.meaning.find_first_of("_*`|") == std::string_view::npos)
        << kind.code << ": the manual would take these for its own";
    has_notice |= !kind.is_problem;
    EXPECT_NE(kind.is_problem, has_notice) << kind.code << ": problems come before notices";
  }
}

TEST(Unjudged, NamesTheWaysIn) {
  auto status = well();
  EXPECT_EQ(unjudged(status), "");
  status.interfaces.push_back({"eth1", false, AttachMode::none, 0, false, "", ""});
  EXPECT_EQ(unjudged(status), "") << "the backstop judges it";
  status.backstop = {};
  EXPECT_EQ(unjudged(status),
            "Moat's program is on eth0 alone, and there is no backstop: by another interface the "
            "packet gets in");
  status.interfaces.erase(status.interfaces.begin());
  EXPECT_EQ(unjudged(status),
            "Moat's program is on no interface, and there is no backstop: the packet gets in");
  status.backstop = {true, true, "/a", "", false, false, ""};
  status.outside_backstop = {{5432, "/b"}};
  EXPECT_EQ(unjudged(status),
            "Moat's program is on no interface, and the backstop does not cover what listens: the "
            "packet gets in");
}

TEST(Unjudged, IsWhereAGenerationIsNotEnforced) {
  auto status = well();
  EXPECT_EQ(not_enforced_by(status), "");
  status.interfaces.push_back({"eth1", false, AttachMode::none, 0, false, "", ""});
  EXPECT_EQ(not_enforced_by(status), "NOT on eth1: the host has no such interface");
  status.backstop.at_sockets = false;
  EXPECT_EQ(not_enforced_by(status),
            "NOT on eth1: the host has no such interface; the backstop is off at sockets");
}

TEST(Unjudged, IsAChangeThatIsPending) {
  auto status = well();
  status.pending = {{"/a.yaml", {}, {}, {}, 0, false}};
  EXPECT_EQ(not_enforced_by(status), "NOT what /a.yaml says now");
  EXPECT_TRUE(told(status).problems.empty());
  EXPECT_EQ(told(status).notices.at(0).message,
            "pending: /a.yaml is not enforced yet: what it said before stays");
}

TEST(Problems, NameWhatOfTheBackstopIsOff) {
  struct {
    bool at, before, expected;
    std::string not_at, not_before;
    std::vector<std::string> said;
  } const cases[] = {
      {true, true, true, "", "", {}},
      {true, false, false, "", "too old", {}},  // all that this kernel can
      {true, false, true, "", "b", {"the backstop is off before sockets: b"}},
      {false, true, true, "a", "", {"the backstop is off at sockets: a"}},
      {false, false, false, "a", "too old", {"the backstop is off at sockets: a"}},
      {false, false, true, "a", "a", {"the backstop is off: a"}},
      {false,
       false,
       true,
       "a",
       "b",
       {"the backstop is off at sockets: a", "the backstop is off before sockets: b"}},
  };
  for (const auto& one : cases) {
    auto status = well();
    status.backstop = {true, one.at, "/c", one.not_at, one.before, one.expected, one.not_before};
    add_problems(status);
    EXPECT_EQ(messages(status.problems), one.said);
    EXPECT_EQ(is_well(status), one.said.empty());
  }
}

TEST(Remarks, NameGenericModeAndWarnings) {
  auto status = well();
  status.interfaces[0].mode = AttachMode::generic;
  status.interfaces[0].reason = "the driver has no XDP";
  status.files[0].faults = {{Severity::warning, {"orders.yaml", 1, 1}, "hm", "", ""}};
  const auto all = told(status).notices;
  ASSERT_EQ(all.size(), 2);
  EXPECT_EQ(all[0].message, "eth0 runs in generic mode, which is slower: the driver has no XDP");
  EXPECT_EQ(all[1].faults.size(), 1);
  EXPECT_TRUE(is_well(status));
}

TEST(Problems, SayWhatBecomesOfAFileThatIsHeldBack) {
  auto status = well();
  status.files = {{"a.yaml", "a", FileState::held_back, {}},
                  {"b.yaml", "b", FileState::held_back, {}},
                  {"c.yaml", "c", FileState::held_back, {}}};
  status.placeholders = {"b"};
  status.shadowed = {"c"};
  const auto all = told(status).problems;
  ASSERT_EQ(all.size(), 3);
  EXPECT_EQ(all[0].message, "held back: a (a.yaml): what was last enforced stays");
  EXPECT_EQ(all[1].message, "held back: b (b.yaml): guarded, and nobody is allowed");
  EXPECT_EQ(all[2].message, "held back: c (c.yaml): its ports are guarded for others");
}

}  // namespace
}  // namespace moat
