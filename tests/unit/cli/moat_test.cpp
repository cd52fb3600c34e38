// SPDX-License-Identifier: BSD-2-Clause
// The command as a person runs it: the real binary, on files in a folder of the test's own, and
// against the real API with a service that plays its part.
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <future>
#include <initializer_list>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <thread>

#include "control/cli/client.h"
#include "control/cli/commands.h"
#include "control/cli/outage.h"
#include "control/policy/cidrs_digest.h"
#include "control/service/json.h"
#include "control/service/status_text.h"
#include "tests/support/fake_service.h"
#include "tests/support/overlaps.h"
#include "tests/support/own_netns.h"
#include "tests/support/patience.h"

namespace moat {
namespace {

struct RunResult {
  int exit = -1;
  std::string out;
  std::string err;

  [[nodiscard]] Json json() const { return parse_json(out).value_or(Json()); }
};

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> result;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) result.push_back(line);
  return result;
}

class CliTest : public testing::Test {
 protected:
  // A host that nothing is wrong with, whatever this one is like.
  static void SetUpTestSuite() {
    has_own_host_ = enter_own_netns() && run("ip link add eth0 type veth peer name peer0") &&
                    run("echo 0 >/proc/sys/net/ipv4/ip_forward");
  }

  // Runs `moat ARGUMENTS` without a terminal. `beside`: a word for what goes on beside another run.
  RunResult moat(std::vector<std::string> arguments, const std::string& beside = "") {
    const auto out = (folder_.path() / ("stdout" + beside)).string();
    const auto err = (folder_.path() / ("stderr" + beside)).string();
    std::vector<char*> argv{binary_.data()};
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
    posix_spawn_file_actions_addopen(&actions, 2, err.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
    pid_t pid = 0;
    int status = 0;
    EXPECT_EQ(posix_spawn(&pid, binary_.c_str(), &actions, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    waitpid(pid, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(out), read_file(err)};
  }

  // Asks the daemon of this test.
  RunResult ask(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--socket", host_.path()});
    return moat(std::move(arguments));
  }

  std::string write(const std::string& name, const std::string& text) {
    const auto path = folder_.path() / "files" / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return path.string();
  }
  std::string files() { return (folder_.path() / "files").string(); }

  // A folder in order, with one database that has one rule.
  void write_config() {
    write("moat.yaml", "interfaces: [eth0]\n");
    write("databases.d/orders.yaml",
          "database: orders\nendpoint: {port: 5432}\nrules:\n"
          "  - {id: r-office, cidr: 192.0.2.64/29, label: Office}\n");
    write("managed-ranges.d/a.yaml", "- {id: mr-a, name: A, cidrs: [198.51.100.0/24]}\n");
  }

  // A daemon that enforces what write_config() says.
  void play_config() {
    service_.status_view.generation = 18;
    service_.status_view.databases = 1;
    service_.status_view.interfaces = {{"eth0", true, AttachMode::native, 42, false, "", ""}};
    service_.status_view.backstop = {true, true, "/sys/fs/cgroup", "", true, true, ""};
    service_.status_view.settings.interfaces = {"eth0"};
    DatabaseView orders;
    orders.id = "orders";
    orders.endpoint.ports = {5432};
    orders.path = "orders.yaml";
    service_.database_views = {orders};
    RuleView rule;
    rule.database = "orders";
    rule.id = "r-office";
    rule.type = "cidr";
    rule.source = "192.0.2.64/29";
    rule.label = "Office";
    rule.hits = {1234567, 1};
    service_.rule_views = {rule};
    ManagedRangeView range;
    range.id = "mr-a";
    range.name = "A";
    range.prefixes = 1;
    range.cidrs = {"198.51.100.0/24"};
    range.digest = cidrs_digest({parse_prefix("198.51.100.0/24").value()});
    service_.range_views = {range};
  }

  TestFolder folder_;
  FakeService service_;
  ApiHost host_{service_};
  std::string binary_ = MOAT_COMMAND;
  static inline bool has_own_host_ = false;
};

class CliTestAsRoot : public CliTest {};

// Ten different faults of meaning, on the lines of the numbers in their labels.
constexpr auto ten_faults = R"(database: orders
endpoint: {port: 70000}
colour: blue
rules:
  - cidr: 192.0.2.1/24
  - cidr: 192.0.2.1
  - cidr: 010.0.0.0/8
  - cidr: 10.0.0.0/33
  - {cidr: 198.51.100.0/24, managed-range: mr-a}
  - {cidr: 203.0.113.0/24, expires: tomorrow}
  - {cidr: 203.0.113.0/25, lable: x}
  - cidr: 172.16.0.0/12
  - cidr: 172.16.0.0/12
)";

TEST_F(CliTest, CheckNamesTenFaultsOfOneFileAtOnce) {
  const auto path = write("orders.yaml", ten_faults);
  const auto outcome = moat({"check", path});
  EXPECT_EQ(outcome.exit, 1);
  std::set<std::string> places;
  for (const auto& line : lines(outcome.out)) {
    ASSERT_TRUE(line.starts_with(path + ":")) << line;
    const auto rest = line.substr(path.size() + 1);
    EXPECT_NE(rest.find(": error: "), std::string::npos) << line;
    places.insert(rest.substr(0, rest.find(": ")));
  }
  EXPECT_EQ(lines(outcome.out).size(), 10) << outcome.out;
  std::set<std::string> rows;
  for (const auto& place : places) rows.insert(place.substr(0, place.find(':')));
  EXPECT_EQ(rows, (std::set<std::string>{"2", "3", "5", "6", "7", "8", "9", "10", "11", "13"}));
}

TEST_F(CliTest, CheckTellsFaultsToPrograms) {
  const auto outcome = moat({"check", "--json", write("orders.yaml", ten_faults)});
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_EQ(outcome.json()["schema"], "moat/1");
  EXPECT_EQ(outcome.json()["errors"], 10);
  const auto fault = outcome.json()["files"][0]["faults"][0];
  EXPECT_EQ(fault["severity"], "error");
  EXPECT_EQ(fault["place"]["line"], 2);
  EXPECT_GT(fault["place"]["column"], 1);
}

TEST_F(CliTest, CheckIsContentWithFilesInOrder) {
  write_config();
  for (const auto& path : {files(), files() + "/moat.yaml", files() + "/databases.d/orders.yaml"}) {
    const auto outcome = moat({"check", path});
    EXPECT_EQ(outcome.exit, 0) << path << outcome.out << outcome.err;
    if (has_own_host_) {
      EXPECT_EQ(outcome.out, "");
    } else {
      std::cout << "not root: warnings about this host were not looked at\n";
    }
  }
}

TEST_F(CliTestAsRoot, CheckReservesThePortsOfAllDatabasesAtOnce) {
  ASSERT_TRUE(has_own_host_);
  write_config();
  write("databases.d/a.yaml", "database: a\nendpoint: {port: 40000}\nrules: []\n");
  write("databases.d/b.yaml", "database: b\nendpoint: {port: 45000}\nrules: []\n");
  for (const auto& line : lines(moat({"check", files()}).out)) {
    EXPECT_NE(line.find("net.ipv4.ip_local_reserved_ports=40000,45000 "), std::string::npos)
        << line;
  }
  EXPECT_EQ(lines(moat({"check", files()}).out).size(), 2);
}

TEST_F(CliTest, CheckFindsWhatIsWrongBetweenFiles) {
  write_config();
  const auto bills = write("databases.d/bills.yaml",
                           "database: bills\nendpoint: {port: 5432}\nrules:\n"
                           "  - managed-range: mr-b\n");
  const auto whole = moat({"check", files()});
  EXPECT_EQ(whole.exit, 1);
  EXPECT_NE(whole.out.find("mr-b"), std::string::npos) << whole.out;
  EXPECT_NE(whole.out.find("5432"), std::string::npos) << whole.out;
  // A single file is seen among its fellows, and its own faults alone are told, in its own name.
  const auto single = moat({"check", bills});
  EXPECT_EQ(single.exit, 1);
  for (const auto& line : lines(single.out)) EXPECT_TRUE(line.starts_with(bills + ":")) << line;
  EXPECT_NE(single.out.find("mr-b"), std::string::npos) << single.out;
}

TEST_F(CliTest, CheckTellsOfMoreSetsOfRulesThanATableCanHold) {
  write_config();
  for (unsigned i = 0; i < overlaps::too_many; i++)
    write("databases.d/d" + std::to_string(i) + ".yaml", overlaps::database_of_range(i));
  write("managed-ranges.d/r.yaml", overlaps::overlapping_ranges(overlaps::too_many));
  const auto outcome = moat({"check", files()});
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_NE(outcome.out.find(": error: with this file the managed ranges overlap in "),
            std::string::npos)
      << outcome.out;
  EXPECT_NE(outcome.out.find("at most 32768 fit (name fewer managed ranges that overlap one"),
            std::string::npos);
  const auto diff = ask({"diff", files()});
  EXPECT_EQ(diff.exit, 1);
  EXPECT_NE((diff.out + diff.err).find("the managed ranges overlap in"), std::string::npos);
}

TEST_F(CliTest, CheckDoesNotCallManagedRangesUnknownThatItCannotSee) {
  const auto outcome = moat({"check", write("alone.yaml",
                                            "database: orders\nendpoint: {port: 5432}\nrules:\n"
                                            "  - managed-range: mr-elsewhere\n")});
  EXPECT_EQ(outcome.exit, 0) << outcome.out;
  EXPECT_NE(outcome.err.find("other files were not looked at"), std::string::npos);
}

TEST_F(CliTest, CheckReadsASingleFileOfManagedRanges) {
  const auto outcome =
      moat({"check", write("ranges.yaml", "# kept\n- id: mr-a\n  cidrs: [1.2]\n")});
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_NE(outcome.out.find("ranges.yaml:3:"), std::string::npos) << outcome.out;
}

TEST_F(CliTest, CheckNamesWhatIsNotThere) {
  for (const auto& path : {files() + "/none.yaml", folder_.path().string()}) {
    const auto outcome = moat({"check", path});
    EXPECT_EQ(outcome.exit, 1);
    EXPECT_NE(outcome.out.find(path), std::string::npos) << outcome.out;
  }
}

TEST_F(CliTest, CheckTakesTheHostsManagedRangesWhereAFolderHasNone) {
  play_config();
  write("databases.d/orders.yaml",
        "database: orders\nendpoint: {port: 5432}\nrules:\n  - managed-range: mr-a\n");
  const auto outcome = ask({"check", files()});
  EXPECT_EQ(outcome.exit, 0) << outcome.out << outcome.err;
  EXPECT_NE(outcome.err.find("its rules are checked with the host's"), std::string::npos);
  EXPECT_NE(outcome.err.find("in 1 file: 1 database, 1 rule, 0 managed ranges"), std::string::npos)
      << outcome.err;
  EXPECT_EQ(moat({"check", files(), "--socket", files() + "/none"}).exit, 1)
      << "nobody knows the host's";
  service_.status_view.files = {{files() + "/databases.d/orders.yaml", "orders", {}, {}}};
  EXPECT_EQ(ask({"check", files()}).exit, 1) << "moatd itself needs the folder";
}

TEST_F(CliTest, CheckCountsWhatIsInASingleFile) {
  write_config();
  const auto bills =
      write("databases.d/bills.yaml", "database: bills\nendpoint: {port: 6432}\nrules: []\n");
  const auto outcome = moat({"check", bills});
  EXPECT_NE(outcome.err.find("in 1 file: 1 database, 0 rules, 0 managed ranges"), std::string::npos)
      << outcome.err;
}

TEST_F(CliTest, WrongUseNamesTheHelpOfTheCommand) {
  EXPECT_NE(moat({"rules"}).err.find("\n      moat rules --help\n"), std::string::npos)
      << moat({"rules"}).err;
  EXPECT_NE(moat({"--json", "rollback"}).err.find("\n      moat rollback --help\n"),
            std::string::npos);
  EXPECT_NE(moat({"net-peerings", "rm"}).err.find("\n      moat net-peerings remove --help\n"),
            std::string::npos);
}

TEST_F(CliTestAsRoot, WhoMayNotAskIsToldSoAndNotThatMoatdIsGone) {
  ASSERT_TRUE(has_own_host_);
  const auto said = (folder_.path() / "said").string();
  ASSERT_TRUE(run(
      fmt::format("chmod 700 {0}; setpriv --reuid=65534 --regid=65534 --clear-groups {1} status "
                  "--socket {0}/none 2>{2}; test $? = 1",
                  folder_.path().string(), binary_, said)))
      << read_file(said);
  EXPECT_NE(read_file(said).find("you may not ask moatd"), std::string::npos) << read_file(said);
  EXPECT_NE(read_file(said).find("join the group moat"), std::string::npos);
}

TEST_F(CliTest, AReportSaysWhatMoatdDidNotTell) {
  const auto path = (folder_.path() / "report.tar.gz").string();
  const auto outcome =
      moat({"bug-report", "--output", path, "--socket", (folder_.path() / "none").string()});
  EXPECT_EQ(outcome.exit, 0);
  EXPECT_NE(outcome.err.find("  status.json          not in it"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find(
                "moatd was not reachable: status, rules, counters and history are not in it."),
            std::string::npos);
}

TEST_F(CliTest, WarningsDoNotFailACheck) {
  const auto outcome = moat({"check", write("open.yaml",
                                            "database: orders\nendpoint: {port: 5432}\nrules:\n"
                                            "  - cidr: 0.0.0.0/0\n")});
  EXPECT_EQ(outcome.exit, 0);
  EXPECT_NE(outcome.out.find(": warning: "), std::string::npos) << outcome.out;
}

TEST_F(CliTest, WhyAnswersFromFilesWithoutADaemon) {
  write_config();
  const auto allowed = moat({"why", "192.0.2.65", "--config", files(), "--json"});
  EXPECT_EQ(allowed.exit, 0) << allowed.err;
  EXPECT_EQ(allowed.json()["answers"][0]["rule"], "r-office");
  const auto dropped = moat({"why", "192.0.2.72", "--config", files()});
  EXPECT_EQ(dropped.exit, 0);
  EXPECT_NE(dropped.out.find("192.0.2.72 is just outside 192.0.2.64/29 of rule r-office"),
            std::string::npos)
      << dropped.out;
  EXPECT_NE(dropped.out.find("file says    - {id: r-office, cidr: 192.0.2.64/29, label: Office}"),
            std::string::npos)
      << dropped.out;
  EXPECT_EQ(moat({"why", "192.0.2.72", "--config", files(), "--database", "none"}).exit, 1);
  EXPECT_EQ(moat({"why", "192.0.2.720", "--config", files()}).exit, 2);
  const auto ipv6 = moat({"why", "2001:db8::1", "--config", files()});
  EXPECT_EQ(ipv6.exit, 0) << ipv6.err;
  EXPECT_NE(ipv6.out.find("2001:db8::1 to orders: dropped (ipv6)"), std::string::npos) << ipv6.out;
}

TEST_F(CliTest, AMisspeltAddressIsWrongUseWhereverItStands) {
  for (const std::vector<std::string>& command : {std::vector<std::string>{"why", "192.0.2.720"},
                                                  {"why", "2001:db8::g"},
                                                  {"rules", "add", "--cidr", "192.0.2.1/24"},
                                                  {"rules", "add", "--cidr", "192.0.2.720/32"}}) {
    EXPECT_EQ(ask(command).exit, 2) << command.back();
  }
  EXPECT_TRUE(service_.calls.empty());
}

TEST_F(CliTest, WhySaysWhatMakesItOtherThanItSeems) {
  play_config();
  WhyView why{"192.0.2.72", "orders", false, "no-rule"};
  why.generation = 18;
  why.place = {write("databases.d/orders.yaml", "rules: today\n"), 1, 1};
  service_.why_views = {why};
  auto said = ask({"why", "192.0.2.72"});
  EXPECT_NE(said.out.find("file says    rules: today"), std::string::npos) << said.out;
  EXPECT_EQ(said.out.find('!'), std::string::npos) << said.out;

  auto& status = service_.status_view;
  status.pending = {{why.place.file, {}, {}, {}, 0, false}};
  said = ask({"why", "192.0.2.72"});
  EXPECT_EQ(said.out.find("rules: today"), std::string::npos) << said.out;
  EXPECT_NE(said.out.find("  file         has changed, and that is not enforced yet"),
            std::string::npos)
      << said.out;
  status.pending.clear();
  status.files = {{why.place.file, "orders", FileState::held_back, {}}};
  status.interfaces[0].mode = AttachMode::none;
  status.backstop = {};
  status.clock_was_at = parse_time("2030-01-01T00:00:00Z").value();
  said = ask({"why", "192.0.2.72"});
  EXPECT_EQ(said.out.find("rules: today"), std::string::npos) << said.out;
  for (const auto* line :
       {"  file         held back: what was last enforced stays (see moat status)\n",
        "! Moat's program is on no interface, and there is no backstop: the packet gets in. See "
        "moat status\n",
        "! the clock has been at 2030-01-01T00:00:00Z, and rules that expire before that stay "
        "expired. See moat status\n"}) {
    EXPECT_NE(said.out.find(line), std::string::npos) << line << said.out;
  }
  EXPECT_EQ(ask({"why", "192.0.2.72", "--json"}).json()["reservations"].size(), 2);
}

TEST_F(CliTest, WhySaysThatASourceComesByATrustedInterface) {
  play_config();
  WhyView why{"172.30.0.2", "orders", false, "no-rule"};
  why.generation = 18;
  why.trusted_way = "docker0";
  service_.why_views = {why, why};
  const auto said = ask({"why", "172.30.0.2"});
  EXPECT_NE(said.out.find("! 172.30.0.2 is reached by docker0, which is trusted: what comes by it "
                          "gets in without rules. See moat status\n"),
            std::string::npos)
      << said.out;
  EXPECT_EQ(ask({"why", "172.30.0.2", "--json"}).json()["reservations"].size(), 1);
}

TEST_F(CliTest, WhyIsNotAllowedWithoutAWordWhereAnotherDatabaseDecides) {
  write_config();
  write("databases.d/near.yaml",
        "database: near\nendpoint: {port: 5432, address: 198.51.100.5}\nrules: []\n");
  const auto said = moat({"why", "192.0.2.65", "--config", files(), "--database", "orders"});
  EXPECT_EQ(lines(said.out).front(),
            "192.0.2.65 to orders: allowed, but dropped at port 5432 of 198.51.100.5");
  EXPECT_NE(
      said.out.find("database near has port 5432 of 198.51.100.5, and decides there: dropped"),
      std::string::npos)
      << said.out;
}

TEST_F(CliTest, SaysThatWhatIsEnforcedIsNotKnown) {
  play_config();
  service_.status_view.policy_known = false;
  service_.status_view.problems = {
      make_problem(code::not_enforced, "", "changes are not enforced, generation 18 stays: lost")};
  service_.refusal = Refusal{Refusal::Kind::conflict, unknown_policy(18), "see `moat status`", {}};
  for (const std::vector<std::string>& command : {std::vector<std::string>{"why", "192.0.2.1"},
                                                  {"rules", "list"},
                                                  {"databases", "list"},
                                                  {"managed-ranges", "list"}}) {
    const auto said = ask(command);
    EXPECT_EQ(said.exit, 1) << command[0];
    EXPECT_EQ(said.out, "");
    EXPECT_NE(said.err.find("generation 18 is enforced, but what it says is not known"),
              std::string::npos)
        << said.err;
  }
  const auto status = ask({"status"});
  EXPECT_EQ(status.exit, 1);
  EXPECT_NE(status.out.find("! changes are not enforced"), std::string::npos)
      << status.out << status.err;
}

DropView drop_view() {
  const auto noon = parse_time("2026-06-01T12:00:00Z").value();
  return {7, "192.0.2.72", "orders", 5432, "no-rule", "eth0", 0, false, 1234, noon, noon};
}

TEST_F(CliTest, WhyTellsTheLastDrop) {
  play_config();
  WhyView why{"192.0.2.72", "orders", false, "no-rule"};
  why.generation = 18;
  service_.why_views = {why};
  auto outcome = ask({"why", "192.0.2.72"});
  EXPECT_NE(outcome.out.find("last drop    none of late"), std::string::npos) << outcome.out;
  service_.why_views[0].last_drop = drop_view();
  outcome = ask({"why", "192.0.2.72"});
  EXPECT_NE(outcome.out.find("last drop    2026-06-01T12:00:00Z ("), std::string::npos)
      << outcome.out;
  EXPECT_NE(outcome.out.find("), no-rule on eth0, 1,234 packets"), std::string::npos)
      << outcome.out;
}

TEST_F(CliTest, WhyTellsTheLastHitOfARule) {
  play_config();
  WhyView why{"192.0.2.65", "orders", true, "allowed", "r-office", "192.0.2.64/29", "Office"};
  why.generation = 18;
  service_.why_views = {why};
  EXPECT_NE(ask({"why", "192.0.2.65"}).out.find("last hit     never"), std::string::npos);
  service_.why_views[0].last_hit = std::chrono::system_clock::now() - std::chrono::hours(2);
  EXPECT_NE(ask({"why", "192.0.2.65"}).out.find("last hit     2 h ago"), std::string::npos);
}

TEST_F(CliTest, DropsAreATableForAPerson) {
  service_.drops_view.drops = {drop_view(), drop_view()};
  auto& other = service_.drops_view.drops[1];
  other.source.clear();
  other.database.clear();
  other.port = 0;
  other.reason = "vlan-depth";
  other.vlan = 42;
  other.monitored = true;
  service_.drops_view.unlisted = 5'000'000;
  const auto outcome = ask({"drops", "--database", "orders"});
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  EXPECT_EQ(service_.calls, std::vector<std::string>{"drops(orders,0)"});
  const auto rows = lines(outcome.out);
  ASSERT_EQ(rows.size(), 3) << outcome.out;
  EXPECT_EQ(rows[0].find("LAST"), 0);
  for (const auto* word :
       {"2026-06-01T12:00:00Z", "192.0.2.72", "orders", "5432", "no-rule", "eth0", "1,234"}) {
    EXPECT_NE(rows[1].find(word), std::string::npos) << rows[1];
  }
  for (const auto* word : {"vlan-depth", "42", "passed: monitor mode"}) {
    EXPECT_NE(rows[2].find(word), std::string::npos) << rows[2];
  }
  EXPECT_NE(outcome.err.find("5,000,000 more dropped packets"), std::string::npos) << outcome.err;
}

TEST_F(CliTest, DropsAreOneDocumentForAProgram) {
  service_.drops_view.drops = {drop_view()};
  service_.drops_view.next = 8;
  const auto json = ask({"drops", "--json"}).json();
  EXPECT_EQ(json["schema"], "moat/1");
  EXPECT_EQ(json["next"], 8);
  EXPECT_EQ(json["drops"][0]["source"], "192.0.2.72");
  service_.refusal = Refusal{Refusal::Kind::not_found, "there is no database \"x\"", "", {}};
  EXPECT_EQ(ask({"drops", "--database", "x"}).exit, 1);
}

TEST_F(CliTest, DropsFollowedAreALineEachAndAskForWhatIsNew) {
  service_.drops_view.drops = {drop_view(), drop_view()};
  service_.drops_view.drops[0].source = "192.0.2.73";
  service_.drops_view.next = 8;
  service_.refuse_since = 8;  // ends it
  const auto text = ask({"drops", "--follow"});
  EXPECT_EQ(text.exit, 1);
  const auto rows = lines(text.out);
  ASSERT_EQ(rows.size(), 2) << text.out;
  EXPECT_NE(rows[0].find("192.0.2.72"), std::string::npos) << "the latest comes last";
  EXPECT_NE(rows[1].find("192.0.2.73"), std::string::npos);
  EXPECT_NE(rows[1].find("orders:5432"), std::string::npos);

  const auto json = lines(ask({"drops", "--follow", "--json"}).out);
  ASSERT_GE(json.size(), 2);
  for (const auto& line : {json[0], json[1]}) {
    const auto object = parse_json(line);
    ASSERT_TRUE(object) << line;
    EXPECT_EQ((*object)["schema"], "moat/1");
    EXPECT_EQ((*object)["reason"], "no-rule");
  }
}

// A moatd that is stopped and started again while a command goes on.
class RestartTest : public CliTest {
 protected:
  // Runs the command, with `before_` until stdout has `text`, then with `after_`.
  RunResult over_restart(std::vector<std::string> arguments, const std::string& text) {
    const auto socket = (folder_.path() / "restarted").string();
    std::optional<ApiHost> host(std::in_place, before_);
    std::filesystem::create_symlink(host->path(), socket);
    arguments.insert(arguments.end(), {"--socket", socket});
    auto running = std::async(std::launch::async, [&] { return moat(arguments); });
    await("stdout", text);
    host.reset();
    await("stderr", "waiting for it");
    const ApiHost next(after_);
    std::filesystem::remove(socket);
    std::filesystem::create_symlink(next.path(), socket);
    return running.get();
  }
  void await(const std::string& stream, const std::string& text) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10 * patience());
    while (!read_file(folder_.path() / stream).contains(text)) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << text << " is not in " << stream;
      std::this_thread::yield();
    }
  }

  FakeService before_;
  FakeService after_;
};

TEST_F(RestartTest, DropsAreFollowedByTheNumbersOfTheNewMoatd) {
  before_.drops_view.drops = {drop_view()};
  before_.drops_view.next = 8;
  after_.drops_view.drops = {drop_view()};
  after_.drops_view.drops[0].source = "198.51.100.9";
  after_.drops_view.next = 20;
  after_.refuse_since = 20;  // ends it
  const auto said = over_restart({"drops", "--follow"}, "192.0.2.72");
  EXPECT_EQ(said.exit, 1) << said.err;
  EXPECT_NE(said.out.find("198.51.100.9"), std::string::npos) << said.out;
  EXPECT_NE(said.err.find("moatd answers again"), std::string::npos) << said.err;
  ASSERT_GE(after_.calls.size(), 2);
  EXPECT_EQ(after_.calls[1], "drops(,0)") << "it counts anew";
}

TEST_F(RestartTest, CountersAreWatchedOn) {
  before_.counters_view.totals = {{"orders", {1, 1}, {0, 0}}};
  after_.refusal = Refusal{};  // ends it
  EXPECT_EQ(over_restart({"counters", "--watch"}, "orders").exit, 1);
}

TEST_F(CliTest, WrongUseExitsWithTwo) {
  const std::vector<std::vector<std::string>> cases{
      {"no-such-command"},
      {"rules"},
      {"status", "--no-such-option"},
      {"why"},
      {"rules", "remove"},
      {"rules", "add"},
      {"rules", "add", "--cidr", "192.0.2.1/32", "--managed-range", "mr-a"},
      {"console", "--port", "70000"},
      {"detach"}};  // without a terminal and without --yes
  for (const auto& arguments : cases) {
    const auto outcome = moat(arguments);
    EXPECT_EQ(outcome.exit, 2) << arguments.back();
    EXPECT_EQ(outcome.out, "");
    EXPECT_NE(outcome.err, "");
  }
}

TEST_F(CliTest, HelpsWhereNothingIsAskedFor) {
  const auto outcome = moat({});
  EXPECT_EQ(outcome.exit, 0);
  EXPECT_EQ(outcome.out, moat({"--help"}).out);
  EXPECT_EQ(outcome.err, "");
}

TEST_F(CliTest, TakesShortFormsAndAliases) {
  play_config();
  const auto same = [this](std::vector<std::string> shorter, std::vector<std::string> longer) {
    service_.calls.clear();
    const auto one = ask(std::move(shorter));
    const auto calls = std::exchange(service_.calls, {});
    const auto other = ask(std::move(longer));
    EXPECT_EQ(one.exit, other.exit) << one.err;
    EXPECT_EQ(one.out, other.out);
    EXPECT_EQ(calls, service_.calls);
  };
  same({"rules", "ls", "-j", "-d", "orders"}, {"rules", "list", "--json", "--database", "orders"});
  same({"-j", "rules", "list", "-dorders"}, {"--json", "rules", "list", "--database=orders"});
  same({"databases", "ls"}, {"databases", "list"});
  same({"managed-ranges", "ls"}, {"managed-ranges", "list"});
  same({"rules", "rm", "r-office"}, {"rules", "remove", "r-office"});
  same({"rules", "help", "add"}, {"rules", "add", "--help"});
  same({"rules", "help"}, {"rules", "--help"});
  same({"help", "rules", "rm"}, {"rules", "remove", "--help"});
  service_.refuse_since = 0;  // ends it
  same({"drops", "-f"}, {"drops", "--follow"});
  same({"drops", "-fj"}, {"drops", "--follow", "--json"});
  EXPECT_EQ(ask({"drops", "-d", ""}).exit, 2) << "an empty value";
  EXPECT_EQ(ask({"drops", "-x"}).err.substr(0, 30), "moat: there is no option \"-x\"\n");
}

TEST_F(CliTest, TellsProgramsItsVersionInJson) {
  EXPECT_TRUE(moat({"--version"}).out.starts_with("moat "));
  for (const auto& arguments :
       {std::vector<std::string>{"--version", "--json"}, {"-j", "--version"}}) {
    const auto outcome = moat(arguments);
    EXPECT_EQ(outcome.exit, 0) << outcome.err;
    EXPECT_TRUE(outcome.json()["version"].is_string()) << outcome.out;
  }
}

TEST_F(CliTest, CompletesWhatIsBegun) {
  play_config();
  service_.history_views = {{{.generation = 17, .change = "orders: added 192.0.2.1/32"}, {}}};
  const auto candidates = [this](std::vector<std::string> words) {
    words.insert(words.begin(), {"complete", "--socket", host_.path()});
    std::vector<std::string> found;
    for (const auto& line : lines(moat(words).out))
      found.push_back(line.substr(0, line.find('\t')));
    return found;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(candidates({"databases", ""}), (Names{"list", "monitor", "enforce", "forget"}));
  EXPECT_EQ(candidates({"rep"}), Names{});
  EXPECT_EQ(candidates({"rel"}), Names{"reload"});
  EXPECT_EQ(candidates({"rules", "add", "--ci"}), Names{"--cidr"});
  EXPECT_EQ(candidates({"rules", "list", "--database", ""}), Names{"orders"});
  EXPECT_EQ(candidates({"rules", "ls", "-d", "o"}), Names{"orders"});
  EXPECT_EQ(candidates({"rules", "list", "--database", "=", "o"}), Names{"orders"})
      << "as bash has it";
  EXPECT_EQ(candidates({"rules", "remove", "r-"}), Names{"r-office"});
  EXPECT_EQ(candidates({"managed-ranges", "show", ""}), Names{"mr-a"});
  EXPECT_EQ(candidates({"rules", "add", "--managed-range", ""}), Names{"mr-a"});
  EXPECT_EQ(candidates({"rollback", ""}), Names{"17"});
  EXPECT_EQ(candidates({"databases", "forget", ""}), Names{"orders"});
  EXPECT_EQ(candidates({"databases", "forget", "orders", ""}), Names{});
  EXPECT_EQ(candidates({"check", ""}), Names{":files"});
  EXPECT_EQ(candidates({"import", "pg"}), Names{"pg_hba"});
  const auto topics = candidates({"help", "ex"});
  EXPECT_EQ(topics, (Names{"expires", "exit"}));
  EXPECT_EQ(lines(moat({"complete", "rules", "list", "--database", ""}).out), Names{})
      << "moatd is not there";
  for (const auto& row : commands())
    EXPECT_NE(moat({"complete", std::string(row.group), std::string(row.name)}).exit, 2);
}

TEST_F(CliTest, CollectsAReportWithoutLabelsIfTold) {
  play_config();
  service_.status_view.version = "0.1.0";
  HistoryView entry;
  entry.change = "orders: 192.0.2.1/32 is called \"Site B\", not \"Mine, at home\"";
  entry.command = "moat rules set r-1 --label Site B";
  HistoryView quoted;
  quoted.change = R"(orders: 192.0.2.2/32 is called "ACME "secret" client", not "Desk")";
  service_.history_views = {entry, quoted};
  const auto path = (folder_.path() / "report.tar.gz").string();
  const auto report = [&](std::vector<std::string> options) {
    options.insert(options.begin(), {"bug-report", "--output", path});
    const auto outcome = ask(options);
    EXPECT_EQ(outcome.exit, 0) << outcome.err;
    EXPECT_EQ(outcome.out, path + "\n");
    for (const auto* part : {"versions.txt", "status.json", "rules.json", "log.txt", "maps.txt"})
      EXPECT_NE(outcome.err.find(part), std::string::npos)
          << "says what is inside: " << outcome.err;
    const auto all = (folder_.path() / "all").string();
    EXPECT_TRUE(run(fmt::format("tar --extract --gzip --to-stdout --file {} >{}", path, all)));
    struct stat status{};
    EXPECT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600U);
    return read_file(all);
  };
  const auto open = report({});
  for (const auto* text : {"moatd 0.1.0", "192.0.2.64/29", "Office", "Mine, at home"})
    EXPECT_NE(open.find(text), std::string::npos) << text;
  const auto hashed = report({"--hash-labels"});
  EXPECT_NE(hashed.find("192.0.2.64/29"), std::string::npos);
  EXPECT_NE(hashed.find("label-"), std::string::npos);
  for (const auto* text : {"Office", "Mine, at home", "Site B", "ACME", "secret", "client", "Desk"})
    EXPECT_EQ(hashed.find(text), std::string::npos) << text;
}

// In a folder such as /tmp: what others have put where the report goes, it does not follow.
TEST_F(CliTest, WritesAReportWhereOthersHavePutALink) {
  play_config();
  const auto kept = (folder_.path() / "kept").string();
  write(kept, "kept");
  const auto path = (folder_.path() / "report.tar.gz").string();
  std::filesystem::create_symlink(kept, path);
  EXPECT_EQ(ask({"bug-report", "--output", path}).exit, 0);
  EXPECT_EQ(read_file(kept), "kept");
  EXPECT_TRUE(std::filesystem::is_regular_file(std::filesystem::symlink_status(path)));
  // Made by somebody else, who would go on reading it.
  std::ofstream(path, std::ios::trunc) << "theirs";
  std::filesystem::permissions(path, std::filesystem::perms::all);
  EXPECT_EQ(ask({"bug-report", "--output", path}).exit, 0);
  EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms(0600));
}

TEST_F(CliTest, CountersTellDropsFromWhatPasses) {
  play_config();
  service_.counters_view.totals = {{"orders", {5, 500}, {0, 0}, Mode::monitor, {14, 840}}};
  service_.counters_view.reasons = {{"orders", "no-rule", true, {14, 840}, true},
                                    {"host", "not-ip", false, {3, 180}, false}};
  const auto out = ask({"counters"}).out;
  const auto drops = out.find("DROPPED AS"), passes = out.find("PASSED AS");
  ASSERT_NE(passes, std::string::npos) << out;
  EXPECT_LT(out.find("no-rule"), passes) << out;
  EXPECT_GT(out.find("no-rule"), drops) << out;
  EXPECT_GT(out.find("not-ip"), passes) << out;
  EXPECT_NE(out.find("PASSED IN MONITOR"), std::string::npos) << out;
  EXPECT_NE(out.find("monitor: they pass"), std::string::npos) << out;
}

TEST_F(CliTest, SaysOfADatabaseInMonitorModeWithoutRulesWhatItsRulesWouldDo) {
  play_config();
  service_.rule_views.clear();
  EXPECT_NE(ask({"status"}).out.find("none: nobody is allowed"), std::string::npos);
  service_.database_views.front().mode = Mode::monitor;
  EXPECT_NE(ask({"status"}).out.find("none: would drop everybody"), std::string::npos);
}

TEST_F(CliTest, NamesAPortThatFollowsAnAddress) {
  const auto outcome = ask({"why", "198.51.100.25:5432"});
  EXPECT_EQ(outcome.exit, 2);
  EXPECT_EQ(
      outcome.err,
      "moat: a port follows the address: \"198.51.100.25:5432\"\n      write 198.51.100.25\n");
}

TEST_F(CliTest, HelpsOnEachCommand) {
  std::vector<std::vector<std::string>> wanted{{}};
  for (const auto& row : commands()) {
    if (row.name == "fleet") continue;  // moat-agent helps on it, where it is installed
    wanted.push_back({std::string(row.name)});
    if (!row.group.empty()) wanted.back().insert(wanted.back().begin(), std::string(row.group));
  }
  for (auto arguments : wanted) {
    arguments.emplace_back("--help");
    const auto outcome = moat(arguments);
    EXPECT_EQ(outcome.exit, 0);
    EXPECT_NE(outcome.out.find("Usage: moat"), std::string::npos) << outcome.out;
    EXPECT_NE(outcome.out.find("--socket"), std::string::npos) << outcome.out;
  }
}

// What a completion, say, is made from.
TEST_F(CliTest, EachOptionOfEachCommandSaysWhatItIs) {
  for (const auto& row : commands()) {
    EXPECT_FALSE(row.help.empty()) << row.name;
    if (row.declare == nullptr) continue;
    Options options;
    EXPECT_TRUE(row.declare(options)) << row.name;
    for (const auto& option : options) {
      EXPECT_FALSE(option.help.empty()) << row.name << " " << option.name;
      const bool is_flag = std::holds_alternative<bool*>(option.value);
      const bool is_argument = !option.name.starts_with("--");
      EXPECT_EQ(option.type.empty(), is_flag || is_argument) << row.name << " " << option.name;
    }
  }
}

TEST_F(CliTest, SaysHowToStartADaemonThatIsNotThere) {
  const std::vector<std::vector<std::string>> commands{{"status"},
                                                       {"databases", "list"},
                                                       {"rules", "list"},
                                                       {"rules", "remove", "r-1"},
                                                       {"managed-ranges", "list"},
                                                       {"why", "192.0.2.1"},
                                                       {"counters"},
                                                       {"drops"},
                                                       {"reload"},
                                                       {"detach", "--yes"}};
  for (auto arguments : commands) {
    arguments.insert(arguments.end(), {"--socket", files() + "/none"});
    const auto outcome = moat(arguments);
    EXPECT_EQ(outcome.exit, 3) << arguments.front();
    EXPECT_EQ(outcome.out, "");
    EXPECT_NE(outcome.err.find("systemctl start moatd"), std::string::npos) << outcome.err;
    EXPECT_NE(outcome.err.find(
                  "what was in force stays as it was if it was pinned and nobody changed it since"),
              std::string::npos)
        << outcome.err;
  }
  const auto json = moat({"status", "--json", "--socket", files() + "/none"});
  EXPECT_EQ(json.exit, 3);
  EXPECT_EQ(json.json()["error"]["kind"], "unavailable");
}

TEST_F(CliTest, LooksWhetherTheGuardIsPinnedWhereMoatdIsGone) {
  const std::string pins = "/sys/fs/bpf/moat";
  const auto stays = [&](const Result<PinnedGuard>& guard) { return what_stays(pins, guard); };
  EXPECT_EQ(what_stays(files() + "/none", look_at_pins(files() + "/none")),
            "NOTHING is guarded, as nothing is pinned in " + files() +
                "/none, unless moatd had another --bpffs");
  PinnedGuard guard;
  guard.has_pins = true;
  EXPECT_EQ(stays(guard),
            "NOTHING is guarded, as no rules are in the maps that are pinned in " + pins);
  guard.has_table = true;
  guard.gone = {"eth0"};  // its link was detached
  EXPECT_EQ(stays(guard),
            "NOTHING is guarded, as no program of Moat's is attached by the pins in " + pins);
  guard.before_sockets = Runs::moats;
  EXPECT_EQ(
      stays(guard),
      "nobody can say whether anything is guarded: by the pins in " + pins +
          " at most the backstop before sockets is attached, of which the kernel does not tell");
  guard.unknown = {"eth1"};
  EXPECT_EQ(stays(guard), "nobody can say whether anything is guarded: the pins in " + pins +
                              " are not all there");
  guard.interfaces = {"eth1"};
  guard.unknown = {};
  EXPECT_EQ(stays(guard), "what was in force is pinned in " + pins +
                              " and not all of it is as it was: see moat status");
  guard.gone = {};
  EXPECT_EQ(stays(guard), "what was in force is pinned in " + pins +
                              " and stays as it was, without the backstop at sockets");
  guard.at_sockets = Runs::another;
  EXPECT_EQ(stays(guard), "what was in force is pinned in " + pins +
                              " and not all of it is as it was: see moat status");
  guard.at_sockets = Runs::moats;
  EXPECT_EQ(stays(guard), "what was in force is pinned in " + pins + " and stays as it was");
  guard.is_closed = true;
  EXPECT_EQ(stays(guard),
            "guarded ports are closed to everyone, as the rules that were pinned in " + pins +
                " were taken away");
  EXPECT_EQ(stays(std::unexpected(Error{"read the pin: Operation not permitted", ""})),
            "what was in force stays as it was if it is pinned in " + pins +
                " and nobody changed it since, which root can see");
}

TEST_F(CliTest, StatusOpensWithASentence) {
  play_config();
  const auto outcome = ask({"status"});
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  EXPECT_EQ(lines(outcome.out).front(), "Guarding 1 database on eth0; all rules enforced.");
  EXPECT_NE(outcome.out.find("1 active"), std::string::npos) << outcome.out;
  EXPECT_EQ(outcome.out.find('\033'), std::string::npos);  // no terminal, no colour
  const auto json = ask({"status", "--json"}).json();
  EXPECT_EQ(json["generation"], 18);
  EXPECT_EQ(json["interfaces"][0]["program_id"], 42);
  EXPECT_EQ(json["rules"][0]["state"], "active");
}

TEST_F(CliTest, StatusEndsWithOneWhereAnythingIsWrong) {
  play_config();
  const auto well = service_.status_view;
  EXPECT_EQ(ask({"status"}).exit, 0);
  const std::vector<void (*)(StatusView&)> spoilers{
      [](StatusView& s) { s.files = {{"o.yaml", "orders", FileState::held_back, {}}}; },
      [](StatusView& s) { s.files = {{"o.yaml", "orders", FileState::vanished, {}}}; },
      [](StatusView& s) { s.files = {{"o.yaml", "", FileState::not_guarded, {}}}; },
      [](StatusView& s) { s.interfaces[0].mode = AttachMode::none; },
      [](StatusView& s) { s.interfaces[0].present = false, s.interfaces[0].mode = {}; },
      [](StatusView& s) { s.backstop.at_sockets = false; },
      [](StatusView& s) { s.problems = {make_problem(code::state_not_saved, "", "disk full")}; },
      [](StatusView& s) { s.problems = {make_problem(code::unpinned, "", "no bpf filesystem")}; },
      [](StatusView& s) { s.databases = 0; },
      [](StatusView& s) { s.generation = 0; },
      [](StatusView& s) { s.problems = {make_problem(code::open_ipv6, "vault", "open")}; },
  };
  for (std::size_t i = 0; i < spoilers.size(); i++) {
    service_.status_view = well;
    spoilers[i](service_.status_view);
    EXPECT_EQ(ask({"status"}).exit, 1) << i;
    EXPECT_EQ(ask({"status", "--json"}).exit, 1) << i;
    const auto quiet = ask({"status", "--quiet"});
    EXPECT_EQ(quiet.exit, 1) << i;
    EXPECT_EQ(quiet.out, "") << i;
    const auto json = ask({"status", "--json"}).json();
    ASSERT_GT(json["problems"].size(), 0) << i;
    EXPECT_NE(find_problem_kind(json["problems"][0]["code"].get<std::string>()), nullptr) << i;
    EXPECT_NE(json["problems"][0]["remedy"], "") << i;
  }
  service_.status_view = well;
  service_.status_view.mode = Mode::monitor;
  service_.status_view.monitored = {"orders"};
  EXPECT_EQ(ask({"status"}).exit, 0) << "somebody has chosen that";
}

TEST_F(CliTest, EachProblemIsFollowedByWhatMendsIt) {
  play_config();
  service_.status_view.files = {{"o.yaml", "orders", FileState::held_back, {}}};
  const auto said = ask({"status"}).out;
  EXPECT_NE(said.find("! held back: orders (o.yaml): what was last enforced stays\n"
                      "  -> moat check o.yaml\n"),
            std::string::npos)
      << said;
}

PinnedGuard pinned() {
  PinnedGuard guard;
  guard.has_pins = guard.has_table = true;
  guard.generation = 5;
  guard.databases = 2;
  guard.interfaces = {"eth0"};
  guard.at_sockets = guard.before_sockets = Runs::moats;
  return guard;
}

TEST(Standing, IsWhatTheKernelEnforcesWithoutMoatd) {
  const auto headline_of = [](const PinnedGuard& guard) {
    return describe_standing(guard, "/pins").headline;
  };
  auto guard = pinned();
  EXPECT_EQ(headline_of(guard),
            "moatd is not running; the rules of generation 5 are enforced on eth0 by the kernel.");
  EXPECT_EQ(describe_standing(guard, "/pins").problems.size(), 1) << "that it is not running";
  guard.monitored = 2;
  EXPECT_EQ(headline_of(guard),
            "moatd is not running; generation 5 is in force on eth0 by the kernel, in monitor "
            "mode: nothing "
            "is dropped.");
  guard = pinned();
  guard.interfaces.clear();
  guard.gone = {"eth0"};
  EXPECT_EQ(headline_of(guard),
            "moatd is not running; the rules of generation 5 are enforced by the kernel, by the "
            "backstop alone.");
  guard.at_sockets = guard.before_sockets = Runs::nothing;
  EXPECT_EQ(headline_of(guard),
            "NOTHING IS GUARDED: moatd is not running, and no program of Moat's is attached by the "
            "pins in /pins.");
  EXPECT_EQ(headline_of({}),
            "NOTHING IS GUARDED: moatd is not running, and nothing is pinned in /pins.");
  guard = pinned();
  guard.databases = 0;
  EXPECT_TRUE(headline_of(guard).starts_with("NOTHING IS GUARDED"));
  guard = pinned();
  guard.generation = 0;
  EXPECT_EQ(headline_of(guard),
            "moatd is not running; rules are enforced on eth0 by the kernel, and this moat cannot "
            "read which.");
  guard.has_table = false;
  guard.is_closed = true;
  EXPECT_TRUE(headline_of(guard).contains("closed to everyone on eth0"));
  guard.is_closed = false;
  EXPECT_EQ(headline_of(guard),
            "NOTHING IS GUARDED: moatd is not running, and no rules are in the maps that are "
            "pinned in /pins.");
  guard.doubt = "the pin policy-small is gone";
  EXPECT_EQ(headline_of(guard),
            "moatd is not running; Moat's program is on eth0, and nobody can say which rules are "
            "enforced there: the pin policy-small is gone.");
  guard = pinned();
  guard.at_sockets = Runs::nothing;
  const auto notices = describe_standing(guard, "/pins").notices;
  ASSERT_EQ(notices.size(), 1);
  EXPECT_EQ(notices[0].code, code::no_backstop);
}

// What it holds without a pin is not seen.
TEST(Standing, IsTheSameWhereMoatdDoesNotAnswerButForWhatItMayHold) {
  auto guard = pinned();
  EXPECT_EQ(describe_standing(guard, "/pins", true).headline,
            "moatd does not answer; the rules of generation 5 are enforced on eth0 by the kernel.");
  EXPECT_EQ(describe_standing(guard, "/pins", true).problems[0].remedy, "systemctl restart moatd");
  guard.interfaces.clear();
  guard.at_sockets = guard.before_sockets = Runs::nothing;
  EXPECT_TRUE(
      describe_standing(guard, "/pins", true)
          .headline.starts_with("moatd does not answer, and by the pins in /pins NOTHING IS"));
}

TEST(Standing, NamesProgramsInMoatsPlacesThatAreNotMoats) {
  const auto told = [](const PinnedGuard& guard) {
    std::vector<std::string> messages;
    for (const auto& problem : describe_standing(guard, "/pins").problems)
      if (problem.code != code::not_running) messages.push_back(problem.message);
    return messages;
  };
  auto guard = pinned();
  guard.interfaces.clear();
  guard.foreign = {"eth0"};
  EXPECT_EQ(told(guard), std::vector<std::string>{"another program than Moat's runs on eth0: what "
                                                  "comes by it is NOT judged there"});
  EXPECT_FALSE(describe_standing(guard, "/pins").headline.contains("eth0"));
  guard.at_sockets = guard.before_sockets = Runs::another;
  EXPECT_TRUE(describe_standing(guard, "/pins").headline.starts_with("NOTHING IS GUARDED"));
  EXPECT_EQ(told(guard).size(), 3) << "each of them";
  guard.foreign.clear();
  guard.unknown = {"eth0"};
  EXPECT_EQ(describe_standing(guard, "/pins").headline,
            "moatd is not running, and nobody can say whether anything is guarded: the pins in "
            "/pins are not all there.");
}

TEST_F(CliTest, StatusLooksAtThePinsWhereMoatdIsGone) {
  const auto pins = (folder_.path() / "bpf").string();
  std::filesystem::create_directories(pins + "/links");
  const std::vector<std::string> command{"status", "--socket", files() + "/none", "--bpffs", pins};
  const auto said = moat(command);
  EXPECT_EQ(said.exit, 3);
  EXPECT_EQ(lines(said.out).front(),
            "NOTHING IS GUARDED: moatd is not running, and nothing is pinned in " + pins + ".");
  EXPECT_NE(said.out.find("-> systemctl start moatd"), std::string::npos) << said.out;
  auto in_json = command;
  in_json.emplace_back("--json");
  const auto json = moat(in_json).json();
  EXPECT_EQ(json["problems"][0]["code"], "not-running");
  EXPECT_EQ(json["error"]["kind"], "unavailable");
  EXPECT_EQ(json["running"], false);
  EXPECT_EQ(said.out.find("confirmed"), std::string::npos) << said.out;
  auto in_state = command;
  in_state.insert(in_state.end(), {"--state", folder_.path().string()});
  EXPECT_EQ(moat(in_state).out, said.out);
  std::ofstream(folder_.path() / "trial.json") << "{}";
  EXPECT_NE(
      moat(in_state).out.find("! a change waits to be confirmed, and nothing undoes it before "
                              "moatd runs again\n  -> systemctl start moatd\n"),
      std::string::npos);
}

TEST_F(CliTest, EventsAreListedTheLatestLast) {
  const auto noon = parse_time("2026-06-01T12:00:00Z").value();
  service_.events_known = {
      {1, noon, "start", "", "", 0, "", "moatd has started"},
      {2, noon, "change", "", "", 18, "ada (uid 1000, pid 1)", "generation 18 is enforced"},
      {3, std::chrono::system_clock::now(), "problem", "a", "held-back", 18, "", "held back: a"}};
  const auto said = ask({"events"});
  EXPECT_EQ(said.exit, 0) << said.err;
  const auto rows = lines(said.out);
  ASSERT_EQ(rows.size(), 3) << said.out;
  EXPECT_EQ(rows[1],
            "2026-06-01T12:00:00.000Z  change        generation 18 is enforced, by ada (uid 1000, "
            "pid 1)");
  EXPECT_EQ(lines(ask({"events", "--since", "1h"}).out).size(), 1);
  EXPECT_EQ(ask({"events", "--since", "soon"}).exit, 2);
  const auto json = ask({"events", "--json"}).json();
  EXPECT_EQ(json["events"][2]["code"], "held-back");
  EXPECT_EQ(json["next"], 4);
}

TEST_F(CliTest, StatusNamesTrustedInterfaces) {
  play_config();
  EXPECT_EQ(ask({"status"}).out.find("Trusted"), std::string::npos);
  service_.status_view.settings.trusted_interfaces = {"lo", "eth1"};
  const auto said = ask({"status"}).out;
  EXPECT_NE(
      said.find("Trusted         lo, eth1 (the backstop does not check what comes by them)\n"),
      std::string::npos)
      << said;
}

TEST_F(CliTest, ListsRulesInTheColumnsThatUsersKnow) {
  play_config();
  const auto outcome = ask({"rules", "list"});
  EXPECT_EQ(outcome.exit, 0) << outcome.err;
  const auto table = lines(outcome.out);
  ASSERT_EQ(table.size(), 2) << outcome.out;
  std::size_t at = 0;
  for (const auto* column :
       {"ID", "TYPE", "CIDR OR RANGE ID", "LABEL", "STATUS", "HITS", "LAST HIT"}) {
    const auto found = table[0].find(column, at);
    ASSERT_NE(found, std::string::npos) << column << outcome.out;
    at = found + 1;
  }
  EXPECT_NE(table[1].find("r-office  cidr  192.0.2.64/29"), std::string::npos) << table[1];
  EXPECT_NE(table[1].find("1,234,567"), std::string::npos);
  EXPECT_EQ(table[0].find("DATABASE"), std::string::npos);
  service_.rule_views.push_back(service_.rule_views[0]);
  service_.rule_views[1].database = "bills";
  EXPECT_NE(ask({"rules", "list"}).out.find("DATABASE"), std::string::npos);
}

TEST_F(CliTest, NoTextFromElsewhereMovesTheCursor) {
  play_config();
  service_.rule_views[0].label = "\033[2Jgone\nnext";
  const auto outcome = ask({"rules", "list"});
  EXPECT_EQ(outcome.out.find('\033'), std::string::npos) << outcome.out;
  EXPECT_EQ(lines(outcome.out).size(), 2);
}

TEST_F(CliTest, AddsARuleAndSaysWhenItIsEnforced) {
  service_.change = {true, 18, Milliseconds(9.2), Milliseconds(120'000), "o.yaml", "r-new", "", {}};
  const auto outcome = ask({"rules", "add", "--database", "orders", "--cidr", "192.0.2.1/32",
                            "--label", "My workstation", "--expires", "12h"});
  EXPECT_EQ(outcome.exit, 0);
  EXPECT_EQ(outcome.out, "r-new\n");
  EXPECT_EQ(outcome.err, "generation 18 enforced in 9 ms (bound 120 s)\n");
  EXPECT_EQ(encode(service_.new_rule),
            encode(NewRule{"orders", "192.0.2.1/32", "", "My workstation", "12h"}));
}

TEST_F(CliTest, AddsAndRemovesTheRuleForANetPeering) {
  service_.change.enforced = true;
  service_.change.rule_id = "r-new";
  EXPECT_EQ(ask({"rules", "add", "--net-peering", "pcx-1"}).out, "r-new\n");
  EXPECT_EQ(service_.new_rule.net_peering, "pcx-1");
  EXPECT_EQ(ask({"rules", "add", "--net-peering", "pcx-1", "--cidr", "10.42.0.0/16"}).exit, 2);
  service_.calls.clear();
  EXPECT_EQ(ask({"rules", "remove", "--net-peering", "pcx-1"}).exit, 0);
  EXPECT_EQ(service_.calls, (std::vector<std::string>{"status", "remove_rule(,,pcx-1)"}));
}

TEST_F(CliTest, ListsNetPeeringsAndSaysHowToLetThemIn) {
  service_.peering_views = {
      {"orders",
       "pcx-1",
       "10.42.0.0/16",
       "42",
       "Staging",
       NetPeeringState::active,
       "eth0",
       "10.0.0.5",
       {1234, 5},
       {}},
      {"orders", "pcx-2", "10.43.0.0/16", "", "", NetPeeringState::no_rule, "", "", {}, {}},
      {"orders", "pcx-3", "10.44.0.0/16", "", "", NetPeeringState::no_route, "", "", {}, {}}};
  const auto outcome = ask({"net-peerings", "list", "--database", "orders"});
  EXPECT_EQ(outcome.exit, 0);
  const auto table = lines(outcome.out);
  ASSERT_EQ(table.size(), 4) << outcome.out;
  EXPECT_TRUE(table[0].starts_with("ID     STATUS    CIDR          ACCOUNT  LABEL     HITS"))
      << table[0];
  EXPECT_TRUE(table[1].starts_with("pcx-1  active    10.42.0.0/16  42       Staging  1,234"))
      << table[1];
  EXPECT_TRUE(table[2].starts_with("pcx-2  no-rule   10.43.0.0/16")) << table[2];
  EXPECT_TRUE(table[3].starts_with("pcx-3  no-route  10.44.0.0/16")) << table[3];
  EXPECT_EQ(outcome.err,
            "pcx-2 admits nobody; to let it in: moat rules add --database orders "
            "--net-peering pcx-2\n");
  EXPECT_EQ(service_.calls.back(), "net_peerings(orders)");
}

TEST_F(CliTest, RegistersANetPeeringAndTakesItOut) {
  service_.change = {true, 18, Milliseconds(9.2), Milliseconds(120'000), "o.yaml", "", "", {}};
  const auto added = ask({"net-peerings", "add", "--database", "orders", "--id", "pcx-1", "--cidr",
                          "10.42.0.0/16", "--account", "42", "--label", "Staging"});
  EXPECT_EQ(added.exit, 0);
  EXPECT_EQ(added.out, "");
  EXPECT_EQ(added.err, "generation 18 enforced in 9 ms (bound 120 s)\n");
  EXPECT_EQ(encode(service_.new_peering),
            encode(NewNetPeering{"orders", "pcx-1", "10.42.0.0/16", "42", "Staging"}));
  service_.calls.clear();
  EXPECT_EQ(ask({"net-peerings", "remove", "--database", "orders", "pcx-1"}).exit, 0);
  EXPECT_EQ(service_.calls,
            (std::vector<std::string>{"status", "remove_net_peering(orders,pcx-1)"}));
  service_.calls.clear();
  EXPECT_EQ(ask({"net-peerings", "add", "--id", "pcx-1"}).exit, 2);
  EXPECT_EQ(ask({"net-peerings", "add", "--id", "pcx-1", "--cidr", "10.42.0.1/16"}).exit, 2);
  EXPECT_TRUE(service_.calls.empty());
}

TEST_F(CliTest, ShowsTheNetworkOfADatabase) {
  service_.network_views = {
      {"orders",
       {Address(0x0a000005), {5432}},
       {{"eth0", "10.0.0.5", "10.0.0.0/24"}},
       {{"pcx-1", "10.42.0.0/16", "eth1", "10.1.0.5"}, {"pcx-2", "10.43.0.0/16", "", ""}}}};
  const auto outcome = ask({"network-configuration"});
  EXPECT_EQ(outcome.exit, 0);
  for (const auto* line : {"orders: port 5432 of 10.0.0.5\n", "10.0.0.5  10.0.0.0/24  eth0\n",
                           "pcx-1        10.42.0.0/16  10.1.0.5         eth1\n",
                           "pcx-2        10.43.0.0/16  -                -\n"}) {
    EXPECT_NE(outcome.out.find(line), std::string::npos) << line << outcome.out;
  }
  EXPECT_EQ(outcome.err, "no route leads to pcx-2 (10.43.0.0/16)\n");
  service_.network_views[0].addresses.clear();
  service_.network_views[0].peers.clear();
  EXPECT_EQ(ask({"network-configuration"}).err,
            "no interface has 10.0.0.5, the address of orders\n");
}

TEST_F(CliTest, ListsEndpointsAndWhatIsOpenBesideThem) {
  service_.endpoints_view = {
      {{"e-1", "orders", EndpointType::public_address, "192.0.2.5", 5432, true, true, false},
       {"e-2", "orders", EndpointType::private_peering, "10.0.0.5", 5432, false, true, true},
       {"e-3", "vault", EndpointType::private_peering, "10.0.0.6", 0, true, false, false}},
      {6432}};
  const auto outcome = ask({"endpoints"});
  EXPECT_EQ(outcome.exit, 0);
  const auto table = lines(outcome.out);
  ASSERT_EQ(table.size(), 4) << outcome.out;
  EXPECT_EQ(table[1], "e-1  public           192.0.2.5  5432  yes        yes      orders");
  EXPECT_EQ(table[2], "e-2  private-peering  10.0.0.5   5432  no         monitor  orders");
  EXPECT_EQ(table[3], "e-3  private-peering  10.0.0.6    all  yes        no       vault");
  EXPECT_EQ(outcome.err, "something listens on TCP ports that no database guards: 6432\n");
}

TEST_F(CliTest, TellsByWhatAnEndpointIsGuardedAndForWhomItsRulesAreOpen) {
  EndpointView part{"e-1", "orders", EndpointType::public_address, "192.0.2.5", 5432, true};
  part.guarded_by = {"eth0", "eth1"};
  EndpointView open{"e-2", "vault", EndpointType::public_address, "192.0.2.5", 5433, true, true};
  open.is_open_to_all = true;
  service_.endpoints_view = {{part, open}, {}};
  const auto table = lines(ask({"endpoints"}).out);
  ASSERT_EQ(table.size(), 3);
  EXPECT_NE(table[1].find("  by eth0, eth1 only "), std::string::npos) << table[1];
  EXPECT_NE(table[2].find("  open to all by its rules "), std::string::npos) << table[2];
}

TEST_F(CliTest, ListsWhatPassedInMonitorModeAndWhichRulesHaveExpired) {
  play_config();
  EXPECT_EQ(ask({"databases", "list"}).out.find("PASSED IN MONITOR"), std::string::npos);
  auto& orders = service_.database_views.front();
  orders.mode = Mode::monitor;
  orders.rules = 2;
  orders.expired = 1;
  orders.monitored = {15, 900};
  const auto table = lines(ask({"databases", "list"}).out);
  ASSERT_EQ(table.size(), 2);
  EXPECT_NE(table[1].find(" 1 + 1 expired "), std::string::npos) << table[1];
  EXPECT_TRUE(table[0].ends_with("PASSED IN MONITOR")) << table[0];
  EXPECT_TRUE(table[1].ends_with(" 15")) << table[1];
}

TEST_F(CliTest, RulesOfAFileThatIsHeldBackOrGoneAreToldAsInForce) {
  play_config();
  auto& rule = service_.rule_views.front();
  rule.state = RuleState::held_back;
  rule.expires = std::chrono::sys_days{std::chrono::year{2030} / 1 / 31} + std::chrono::hours(10);
  EXPECT_NE(ask({"rules", "list"}).out.find("active until 2030-01-31T10:00:00Z (file held back)"),
            std::string::npos);
  EXPECT_NE(ask({"status"}).out.find(" 1 active "), std::string::npos);
  rule.state = RuleState::vanished;
  rule.expires.reset();
  EXPECT_NE(ask({"rules", "list"}).out.find("active (file deleted)"), std::string::npos);
  EXPECT_NE(ask({"status"}).out.find(" 1 active "), std::string::npos);
}

TEST_F(CliTest, AnImportThatTakesNothingOverIsNoSuccess) {
  const auto nothing = write("pg_hba.conf", "root:x:0:0:root:/root:/bin/bash\n");
  EXPECT_EQ(moat({"import", "pg_hba", nothing}).exit, 1);
  EXPECT_EQ(moat({"import", "pg_hba", nothing, "--json"}).exit, 1);
  const auto some = write("pg_hba.conf", "host all all 192.0.2.0/24 scram-sha-256\n");
  EXPECT_EQ(moat({"import", "pg_hba", some}).exit, 0);
}

TEST_F(CliTest, ChangesARuleInItsPlace) {
  service_.change = {true, 18, Milliseconds(9.2), Milliseconds(120'000), "o.yaml", "r-1", "", {}};
  const auto set =
      ask({"rules", "set", "--database", "orders", "r-1", "--label", "At home", "--no-expires"});
  EXPECT_EQ(set.exit, 0) << set.err;
  EXPECT_EQ(set.err, "generation 18 enforced in 9 ms (bound 120 s)\n");
  ask({"rules", "set", "--cidr", "192.0.2.1/32", "--expires", "7d"});
  ask({"rules", "set", "r-1", "--no-label"});
  EXPECT_EQ(service_.calls,
            (std::vector<std::string>{"status", "set_rule(orders,r-1: At home,never)", "status",
                                      "set_rule(,,192.0.2.1/32: stays,7d)", "status",
                                      "set_rule(,r-1: ,)"}));
}

TEST_F(CliTest, RefusesToSetNothingOrTwoThings) {
  for (const auto& arguments : std::vector<std::vector<std::string>>{
           {"rules", "set", "r-1"},
           {"rules", "set", "--label", "a"},
           {"rules", "set", "r-1", "--cidr", "192.0.2.1/32", "--label", "a"},
           {"rules", "set", "r-1", "--expires", "7d", "--no-expires"},
           {"rules", "set", "r-1", "--label", "a", "--no-label"},
           {"rules", "set", "r-1", "--label", ""},
           {"rules", "remove"},
           {"rules", "remove", "r-1", "--managed-range", "mr-a"}}) {
    EXPECT_EQ(ask(arguments).exit, 2) << fmt::format("{}", fmt::join(arguments, " "));
  }
  EXPECT_TRUE(service_.calls.empty());
}

TEST_F(CliTest, RemovesTheRuleForASource) {
  service_.change.enforced = true;
  EXPECT_EQ(ask({"rules", "remove", "--cidr", "192.0.2.1/32"}).exit, 0);
  EXPECT_EQ(ask({"rules", "remove", "--managed-range", "mr-a"}).exit, 0);
  EXPECT_EQ(service_.calls, (std::vector<std::string>{"status", "remove_rule(,,192.0.2.1/32)",
                                                      "status", "remove_rule(,,mr-a)"}));
}

TEST_F(CliTest, SaysThatAChangeLeavesNobodyAllowed) {
  service_.change.enforced = true;
  service_.change.closed = {"orders"};
  const auto outcome = ask({"rules", "remove", "r-1"});
  EXPECT_EQ(outcome.exit, 0);
  EXPECT_TRUE(
      outcome.err.ends_with("! orders has no rule in force: nobody can reach it\n"
                            "  -> moat rules add --database orders --cidr ...\n"))
      << outcome.err;
}

TEST_F(CliTest, SaysThatThereWasNothingToDo) {
  service_.change.enforced = true;
  service_.change.rule_id = "r-1";
  service_.change.unchanged = "rule r-1 of orders names 192.0.2.1/32 already";
  const auto outcome = ask({"rules", "add", "--cidr", "192.0.2.1/32", "--if-absent"});
  EXPECT_EQ(outcome.exit, 0);
  EXPECT_EQ(outcome.out, "r-1\n");
  EXPECT_EQ(outcome.err, "rule r-1 of orders names 192.0.2.1/32 already: nothing was changed\n");
  EXPECT_TRUE(service_.new_rule.if_absent);
}

TEST_F(CliTest, TakesTheDatabaseFromTheEnvironmentWhereItIsLeftOut) {
  service_.change.enforced = true;
  setenv("MOAT_DATABASE", "orders", 1);
  ask({"rules", "remove", "r-1"});
  ask({"rules", "remove", "r-1", "--database", "shop"});
  ask({"counters"});
  EXPECT_NE(moat({"rules", "add", "--help"}).out.find("MOAT_DATABASE"), std::string::npos);
  unsetenv("MOAT_DATABASE");
  EXPECT_EQ(service_.calls,
            (std::vector<std::string>{"status", "remove_rule(orders,r-1)", "status",
                                      "remove_rule(shop,r-1)", "counters(orders)"}));
}

TEST_F(CliTest, SetsTheModeOfADatabaseAndAsksBeforeItOpens) {
  service_.change.enforced = true;
  service_.preview.opens = {"in monitor mode everybody reaches orders"};
  service_.preview.needs_yes = true;
  const auto unasked = ask({"databases", "monitor", "orders"});
  EXPECT_EQ(unasked.exit, 2);
  EXPECT_NE(unasked.err.find("in monitor mode everybody reaches orders"), std::string::npos);
  EXPECT_EQ(service_.calls, std::vector<std::string>{"status"});
  EXPECT_EQ(ask({"databases", "monitor", "orders", "--yes"}).exit, 0);
  service_.preview = {};
  EXPECT_EQ(ask({"databases", "enforce", "orders"}).exit, 0);
  EXPECT_EQ(service_.calls,
            (std::vector<std::string>{"status", "status", "set_mode(orders,monitor)", "status",
                                      "set_mode(orders,enforce)"}));
}

// A change that ends both sessions that one rule lets in.
PreviewView preview_of_two_ends() {
  PreviewView preview;
  preview.basis = "b1";
  SessionView session;
  session.peer = "192.0.2.65";
  session.peer_port = 40000;
  session.database = "orders";
  session.rule = "r-office";
  session.label = "Office";
  preview.ends = {session, session};
  preview.rules = {{"orders",
                    "r-office",
                    "192.0.2.64/29",
                    "Office",
                    {1234, 1},
                    std::chrono::system_clock::now(),
                    2,
                    2,
                    false}};
  return preview;
}

TEST_F(CliTest, TellsBeforehandWhoseSessionsAChangeEndsAndWaitsForAWordOnlyWhereARuleInUseIsCut) {
  service_.change.enforced = true;
  service_.preview = preview_of_two_ends();
  const auto idle = ask({"rules", "remove", "r-office"});
  EXPECT_EQ(idle.exit, 0) << idle.err;
  for (const auto* word : {"2 sessions connected now would end", "192.0.2.65:40000", "orders",
                           "r-office", "Office", "1,234"})
    EXPECT_NE(idle.err.find(word), std::string::npos) << word << "\n" << idle.err;
  EXPECT_EQ(service_.peer.basis, "b1") << "what is asked about is what is done";

  service_.calls.clear();
  service_.preview.rules.front().is_in_use = service_.preview.needs_yes = true;
  const auto in_use = ask({"rules", "remove", "r-office"});
  EXPECT_EQ(in_use.exit, 2);
  EXPECT_NE(in_use.err.find("all sessions of rule r-office end (192.0.2.64/29, Office)"),
            std::string::npos)
      << in_use.err;
  EXPECT_NE(in_use.err.find("--yes"), std::string::npos);
  EXPECT_EQ(service_.calls, std::vector<std::string>{"status"}) << "nothing was done";
  EXPECT_EQ(ask({"rules", "remove", "r-office", "--confirm", "60s"}).exit, 2);
  EXPECT_EQ(service_.calls, (std::vector<std::string>{"status", "status"})) << "no trial began";

  service_.dry_runs.clear();
  EXPECT_EQ(ask({"rules", "remove", "r-office", "--yes"}).exit, 0);
  EXPECT_TRUE(service_.dry_runs.empty());
  EXPECT_EQ(service_.peer.basis, "");
}

TEST_F(CliTest, OpensNothingWithoutAWord) {
  service_.change.enforced = true;
  service_.preview.opens = {"0.0.0.0/0 lets EVERY ADDRESS in to orders"};
  service_.preview.needs_yes = true;
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{"rules", "add", "--cidr", "0.0.0.0/0"},
                                             {"databases", "forget", "orders"},
                                             {"rollback", "17"}}) {
    const auto outcome = ask(arguments);
    EXPECT_EQ(outcome.exit, 2) << arguments.front();
    EXPECT_NE(outcome.err.find("EVERY ADDRESS"), std::string::npos) << outcome.err;
    auto with_json = arguments;
    with_json.emplace_back("--json");
    EXPECT_EQ(ask(with_json).json()["error"]["kind"], "conflict");
    auto with_word = arguments;
    with_word.emplace_back("--yes");
    EXPECT_EQ(ask(with_word).exit, 0);
  }
  EXPECT_EQ(service_.dry_runs.size(), 6);
}

TEST_F(CliTest, NamesNobodysAddressOutsideAnSshSession) {
  setenv("SSH_CONNECTION", "203.0.113.1 1 203.0.113.2 22", 1);
  const auto outcome = ask({"rules", "add", "--me"});
  unsetenv("SSH_CONNECTION");
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_NE(outcome.err.find("your own address is not known"), std::string::npos) << outcome.err;
  EXPECT_TRUE(service_.calls.empty());
  EXPECT_EQ(ask({"rules", "add", "--me", "--cidr", "192.0.2.1/32"}).exit, 2);
}

TEST_F(CliTest, SuggestsRulesThatCheckAccepts) {
  play_config();
  service_.database_views = {{}};
  service_.database_views[0].id = "orders";
  service_.database_views[0].endpoint.ports = {5432};
  service_.database_views[0].path = "/etc/moat/databases.d/orders.yaml";
  service_.drops_view.drops = {drop_view(), drop_view()};
  service_.drops_view.drops[0].source = "203.0.113.7";
  service_.drops_view.drops[0].reason = "no-rule";
  service_.drops_view.drops[1].reason = "fragment";
  service_.why_views = {{}};
  const auto run = ask({"rules", "suggest"});
  EXPECT_EQ(run.exit, 0) << run.err;
  EXPECT_NE(run.out.find("  - cidr: 203.0.113.7/32  # "), std::string::npos) << run.out;
  EXPECT_NE(run.err.find("left out: 1 source: no rule lets in what is dropped as fragment"),
            std::string::npos)
      << run.err;
  const auto check = moat({"check", write("suggested.yaml", run.out)});
  EXPECT_EQ(check.exit, 0) << check.out;
  service_.drops_view.drops.clear();
  const auto none = ask({"rules", "suggest", "--database", "orders"});
  EXPECT_EQ(moat({"check", write("suggested.yaml", none.out)}).exit, 0) << none.out;
  EXPECT_EQ(ask({"rules", "suggest", "--database", "other"}).exit, 1);
}

TEST_F(CliTest, AcceptsTheVersionOfAManagedRangeThatWasSeen) {
  service_.range_views = {{}};
  service_.range_views[0].id = "mr-a";
  service_.range_views[0].digest = "1111111111111111";
  service_.range_views[0].held_version = HeldVersion{
      "2222222222222222", 10, "would lose 90 of its 100 addresses, more than guard: 50%"};
  service_.change.enforced = true;
  const auto called = [this](const std::string& call) {
    return std::ranges::find(service_.calls, call) != service_.calls.end();
  };
  EXPECT_EQ(ask({"managed-ranges", "accept", "mr-a"}).exit, 2) << "nobody has seen it";
  EXPECT_FALSE(called("accept_range(mr-a,2222222222222222)"));
  EXPECT_EQ(ask({"managed-ranges", "accept", "mr-a", "--yes"}).exit, 0);
  EXPECT_TRUE(called("accept_range(mr-a,2222222222222222)"));
  EXPECT_EQ(ask({"managed-ranges", "accept", "mr-a", "--digest", "3333333333333333"}).exit, 0);
  EXPECT_TRUE(called("accept_range(mr-a,3333333333333333)")) << "the daemon says if it is gone";
  const auto show = ask({"managed-ranges", "show", "mr-a"});
  EXPECT_NE(show.out.find("# HELD BACK: version 2222222222222222 of 10 prefixes would lose 90 of "
                          "its 100 addresses"),
            std::string::npos)
      << show.out;
  EXPECT_NE(show.out.find("moat managed-ranges accept mr-a --digest 2222222222222222"),
            std::string::npos);
}

TEST_F(CliTest, ShowsWhatIsHeldDownAndHowOftenItFlapped) {
  service_.range_views = {{}};
  auto& range = service_.range_views[0];
  range.id = "mr-a";
  range.enforced_at = parse_time("2027-01-31T18:00:00Z").value();
  range.added = 1;
  range.removed = 2;
  range.returned = 170;
  range.returned_since = parse_time("2027-01-01T00:00:00Z").value();
  range.held_down_prefixes = 1;
  range.held_down = {{parse_prefix("192.0.2.0/24").value(), *range.enforced_at,
                      *range.enforced_at + std::chrono::hours(1)}};
  const auto show = ask({"managed-ranges", "show", "mr-a"}).out;
  for (const auto* text :
       {"# this version since 2027-01-31T18:00:00Z: 1 added, 2 removed",
        "# left and came back while held down: 170 prefixes since 2027-01-01T00:00:00Z",
        "# held down: 192.0.2.0/24 left at 2027-01-31T18:00:00Z, and stays allowed until "
        "2027-01-31T19:00:00Z"})
    EXPECT_NE(show.find(text), std::string::npos) << show;
}

TEST_F(CliTest, ListsRulesWithoutAHitForSoLong) {
  play_config();
  const auto now = std::chrono::system_clock::now();
  const auto days_ago = [now](int days) {
    return std::chrono::floor<std::chrono::seconds>(now) - std::chrono::days(days);
  };
  auto& rules = service_.rule_views;
  rules.resize(1);
  rules[0].last_hit = days_ago(1);
  const auto add = [&](const std::string& id, std::optional<int> hit, std::optional<int> since) {
    auto rule = rules[0];
    rule.id = id;
    rule.last_hit = hit ? std::optional(now - std::chrono::days(*hit)) : std::nullopt;
    rule.counted_since = since ? std::optional(days_ago(*since)) : std::nullopt;
    rules.push_back(rule);
  };
  add("r-long-ago", 31, 400);
  add("r-never", std::nullopt, 40);
  add("r-new", std::nullopt, 29);
  add("r-unknown", std::nullopt, std::nullopt);
  const auto outcome = ask({"rules", "list", "--unused", "30d"});
  EXPECT_EQ(outcome.exit, 0);
  const auto rows = lines(outcome.out);
  ASSERT_EQ(rows.size(), 3U) << outcome.out;
  EXPECT_NE(rows[1].find("r-long-ago"), std::string::npos);
  EXPECT_NE(rows[2].find("r-never"), std::string::npos);
  EXPECT_NE(rows[2].find("no hit yet (counted for 40 d)"), std::string::npos);
  EXPECT_EQ(outcome.err, "2 rules without a hit are younger than 30d: not listed\n");
  EXPECT_EQ(ask({"rules", "list", "--unused", "30d", "--json"}).json()["rules"].size(), 2U);
  EXPECT_EQ(ask({"rules", "list", "--unused", "soon"}).exit, 2);
}

// Two clients of orders, one of them allowed.
std::vector<SessionView> two_sessions() {
  SessionView allowed;
  allowed.peer = "192.0.2.66";
  allowed.peer_port = 40001;
  allowed.address = "10.0.0.5";
  allowed.port = 5432;
  allowed.database = "orders";
  allowed.rule = "r-office";
  allowed.allowed = true;
  allowed.idle = Milliseconds(1500);
  auto stranger = allowed;
  stranger.peer = "203.0.113.9";
  stranger.rule.clear();
  stranger.allowed = false;
  stranger.monitored = true;
  return {allowed, stranger};
}

TEST_F(CliTest, ShowsSessionsAndWhatOtherRulesMakeOfThem) {
  write_config();
  play_config();
  service_.session_views = two_sessions();
  const auto now = ask({"sessions"});
  EXPECT_EQ(now.exit, 0) << now.err;
  const auto rows = lines(now.out);
  ASSERT_EQ(rows.size(), 3U) << now.out;
  EXPECT_NE(rows[1].find("192.0.2.66:40001"), std::string::npos);
  EXPECT_NE(rows[1].find("1.5 s"), std::string::npos);
  EXPECT_NE(rows[2].find("not allowed: monitor mode"), std::string::npos);
  write("databases.d/orders.yaml",
        "database: orders\nendpoint: {port: 5432}\nrules:\n  - cidr: 203.0.113.9/32\n");
  const auto then = ask({"sessions", "--config", files()});
  EXPECT_TRUE(lines(then.out)[1].ends_with("ends")) << then.out;
  EXPECT_TRUE(lines(then.out)[2].ends_with("stays")) << then.out;
  const auto json = ask({"sessions", "--config", files(), "--json"}).json()["sessions"];
  EXPECT_EQ(json[0]["candidate"]["allowed"], false);
  EXPECT_EQ(json[1]["candidate"]["allowed"], true);
  write("databases.d/orders.yaml", "database: orders\n");
  EXPECT_EQ(ask({"sessions", "--config", files()}).exit, 1);
}

TEST_F(CliTest, SaysBeforehandWhatEnforcingWouldEnd) {
  write_config();
  play_config();
  service_.session_views = two_sessions();
  const auto outcome = ask({"preflight"});
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_NE(outcome.out.find("203.0.113.9"), std::string::npos) << outcome.out;
  EXPECT_EQ(outcome.out.find("192.0.2.66"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.err.find("1 session from 1 address would end"), std::string::npos)
      << outcome.err;
  service_.session_views[1].exempt = true;
  EXPECT_EQ(ask({"preflight"}).exit, 0);
  EXPECT_EQ(ask({"preflight", "--config", files()}).exit, 0);
  write("databases.d/orders.yaml", "database: orders\nendpoint: {port: 5433}\nrules: []\n");
  const auto moved = ask({"preflight", "--config", files()});
  EXPECT_EQ(moved.exit, 0);
  EXPECT_NE(moved.out.find("port 5432 of orders would be open to everyone"), std::string::npos)
      << moved.out;
  EXPECT_EQ(ask({"preflight", "--config", files(), "--json"}).json()["opens"][0]["database"],
            "orders");
}

TEST_F(CliTest, SaysBeforehandWhichDatabaseLeavesAPortOpen) {
  write_config();
  play_config();
  const auto says = [&](const char* lab, const std::string& words) {
    write("databases.d/orders.yaml", "database: orders\nendpoint: {port: 5433}\nrules: []\n");
    write("databases.d/lab.yaml", fmt::format("database: lab\nendpoint: {{port: 5432}}\n{}", lab));
    const auto told = ask({"preflight", "--config", files()});
    return told.out.find(words) != std::string::npos ? "" : "not said: " + told.out + told.err;
  };
  EXPECT_EQ(says("rules: []\nmode: monitor\n",
                 "port 5432 of orders would be open to everyone: lab guards it then, and is in "
                 "monitor mode"),
            "");
  EXPECT_EQ(says("rules: [{cidr: 0.0.0.0/1}, {cidr: 128.0.0.0/1}]\n",
                 "port 5432 of orders would be open to everyone: lab guards it then, whose rules "
                 "let every address in"),
            "");
  EXPECT_NE(says("rules: []\n", "would be open"), "");
}

TEST_F(CliTest, ImportTellsOfNetworksThatAreMostAddressesTogether) {
  const auto told = [this](const std::string& ranges) {
    const auto file = write("group.json",
                            R"({"SecurityGroups": [{"GroupId": "sg-1", "IpPermissions": [
        {"FromPort": 5432, "ToPort": 5432, "IpProtocol": "tcp", "IpRanges": [)" +
                                ranges + "]}]}]}");
    const auto outcome = moat({"import", "security-group", file});
    EXPECT_EQ(outcome.exit, 0) << outcome.err;
    return outcome.err;
  };
  const std::string low = R"({"CidrIp": "0.0.0.0/1"})", high = R"({"CidrIp": "128.0.0.0/1"})";
  EXPECT_NE(told(low + ", " + high)
                .find("these networks together let in every address, as the file does"),
            std::string::npos);
  EXPECT_NE(told(low).find("this network lets in 56 % of all addresses, as the file does"),
            std::string::npos);
  EXPECT_NE(
      told(R"({"CidrIp": "0.0.0.0/0"})").find("0.0.0.0/0 lets in every address, as the file does"),
      std::string::npos);
  EXPECT_EQ(told(R"({"CidrIp": "10.0.0.0/8"})").find("as the file does"), std::string::npos);
}

TEST_F(CliTest, SaysBeforehandWhoWouldBeRefusedThoughNotConnected) {
  write_config();
  play_config();
  const auto seen = [](const std::string& source, bool monitored) {
    DropView drop;
    drop.source = source;
    drop.database = "orders";
    drop.reason = "no-rule";
    drop.monitored = monitored;
    return drop;
  };
  auto other = seen("203.0.113.9", true);
  other.reason = "fragment";
  service_.drops_view.drops = {seen("203.0.113.9", true), other, seen("192.0.2.65", true),
                               seen("203.0.113.10", false)};
  WhyView why;
  why.database = "orders";
  why.monitored = true;
  service_.why_views = {why};
  const auto live = ask({"preflight"});
  EXPECT_EQ(live.exit, 0);
  EXPECT_TRUE(
      live.err.ends_with("no session would end now\n"
                         "2 sources seen since moatd's start would be refused: moat drops\n"))
      << live.err;
  EXPECT_EQ(ask({"preflight", "--json"}).json()["refused_sources"], 2);
  service_.drops_view.unlisted = 1;
  const auto files_say = ask({"preflight", "--config", files()});
  EXPECT_TRUE(files_say.err.ends_with(
      "at least 1 source seen since moatd's start would be refused: moat drops\n"))
      << "a rule lets 192.0.2.65 in: " << files_say.err;
  service_.why_views[0].allowed = true;
  EXPECT_TRUE(ask({"preflight"}).err.ends_with("no session would end now\n"));
}

TEST_F(CliTest, HelpsWithCommandsAndTopics) {
  EXPECT_EQ(moat({"help", "rules", "add"}).out, moat({"rules", "add", "--help"}).out);
  EXPECT_EQ(moat({"help", "rules"}).out, moat({"rules", "--help"}).out);
  EXPECT_NE(moat({"help", "expires"}).out.find("2027-01-31T19:00:00+01:00"), std::string::npos);
  const auto all = moat({"help"});
  EXPECT_EQ(all.exit, 0);
  EXPECT_NE(all.out.find("Topics, besides the commands"), std::string::npos);
  const auto wrong = moat({"help", "expiers"});
  EXPECT_EQ(wrong.exit, 2);
  EXPECT_EQ(wrong.err,
            "moat: there is no command or topic \"expiers\"\n      did you mean expires?\n");
}

TEST_F(CliTest, ChecksForRulesThatAnotherMakesNeedless) {
  write_config();
  play_config();
  const auto path =
      write("databases.d/orders.yaml",
            "database: orders\nendpoint: {port: 5432}\nrules:\n"
            "  - {id: r-office, cidr: 192.0.2.64/29}\n  - cidr: 192.0.2.0/24\n"
            "  - cidr: 198.51.100.7/32\n  - managed-range: mr-a\n  - cidr: 10.0.0.0/8\n");
  service_.rule_views[0].place.file = path;
  service_.rule_views[0].counted_since =
      std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()) -
      std::chrono::days(40);
  const auto outcome = ask({"check", files()});
  EXPECT_EQ(outcome.exit, 0) << outcome.out;
  for (const auto* words :
       {"orders.yaml:4:5: warning: another rule lets in all of it; no hit in 40 d",
        "orders.yaml:6:5: warning: a managed range lets in all of it",
        "orders.yaml:8:5: warning: lets in 16777216 addresses"}) {
    EXPECT_NE(outcome.out.find(words), std::string::npos) << words << "\n" << outcome.out;
  }
  service_.rule_views[0].counted_since =
      std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  EXPECT_FALSE(ask({"check", files()}).out.contains("no hit in")) << "it says nothing so soon";
}

TEST_F(CliTest, ShowsARefusalInTheWordsOfCheck) {
  const Fault fault{
      Severity::error, {"/o.yaml", 34, 5}, "a 31st rule", "192.0.2.1/32", "remove one"};
  service_.refusal = Refusal{Refusal::Kind::invalid, "the rule is refused", "see above", {fault}};
  const auto outcome = ask({"rules", "add", "--cidr", "192.0.2.1/32"});
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(lines(outcome.err).front(), format_fault(fault));
  const auto json = ask({"rules", "remove", "r-1", "--json"});
  EXPECT_EQ(json.exit, 1);
  EXPECT_EQ(json.json()["error"]["faults"][0]["message"], "a 31st rule");
}

TEST_F(CliTest, AReloadSaysByWhatItIsNotEnforced) {
  play_config();
  service_.change.enforced = true;
  service_.change.generation = 18;
  EXPECT_EQ(ask({"reload"}).exit, 0);
  service_.status_view.interfaces.push_back({"eth1", false, AttachMode::none, 0, false, "", ""});
  const auto outcome = ask({"reload"});
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_EQ(outcome.err,
            "generation 18 enforced, but NOT on eth1: the host has no such interface\n");
  service_.status_view.interfaces.pop_back();
  service_.status_view.pending = {{"o.yaml", {}, {}, {}, 0, false}};
  const auto pending = ask({"reload"});
  EXPECT_EQ(pending.exit, 1);
  EXPECT_EQ(pending.err, "generation 18 enforced, but NOT what o.yaml says now\n");
  service_.status_view.pending.clear();
  service_.status_view.interfaces.push_back({"eth1", false, AttachMode::none, 0, false, "", ""});
  service_.change.warnings = {{Severity::error, {"o.yaml", 1, 1}, "not a CIDR", "x", ""}};
  const auto held = ask({"reload"});
  EXPECT_NE(held.err.find("enforced, but NOT on eth1"), std::string::npos) << held.err;
  EXPECT_NE(held.err.find("is held back"), std::string::npos) << held.err;
}

// A listener that nobody accepts from: what a stopped moatd looks like.
TEST_F(CliTest, DoesNotWaitForADaemonThatDoesNotAnswer) {
  const auto path = (folder_.path() / "deaf").string();
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto address = socket_address(path);
  ASSERT_EQ(bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(listen(listener, SOMAXCONN), 0);
  const auto pins = (folder_.path() / "bpf").string();
  const std::vector<std::string> command{"status", "--socket", path, "--bpffs", pins};
  auto status = std::async(std::launch::async, [&] { return moat(command, "-beside"); });
  const auto outcome = moat({"reload", "--socket", path});
  EXPECT_EQ(outcome.exit, 4);
  EXPECT_NE(
      outcome.err.find("does not answer within 10 s; what was in force stays as it was unless "
                       "somebody changed it in the kernel"),
      std::string::npos)
      << outcome.err;
  const auto looked = status.get();
  EXPECT_EQ(looked.exit, 4);
  EXPECT_TRUE(looked.out.starts_with("moatd does not answer, and by the pins in " + pins +
                                     " NOTHING IS GUARDED"))
      << looked.out;
  EXPECT_FALSE(looked.out.contains("systemctl start")) << "it runs";
  close(listener);
}

TEST_F(CliTest, WaitsUntilAChangeIsEnforced) {
  service_.change = {false,    18,    Milliseconds(1), Milliseconds(60'000),
                     "o.yaml", "r-1", "later",         {}};
  play_config();
  service_.status_view.generation = 19;
  const auto outcome = ask({"reload"});
  EXPECT_EQ(outcome.exit, 0);
  EXPECT_NE(outcome.err.find("generation 19 enforced in "), std::string::npos) << outcome.err;
}

TEST_F(CliTest, DoesNotCallAReloadDoneThatLeavesAFileOut) {
  play_config();
  service_.change.enforced = true;
  service_.change.warnings = {{Severity::warning, {"o.yaml", 1, 1}, "has expired", "", ""}};
  EXPECT_EQ(ask({"reload"}).exit, 0);
  service_.change.warnings.push_back({Severity::error, {"o.yaml", 1, 1}, "not a CIDR", "x", ""});
  const auto outcome = ask({"reload"});
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_NE(outcome.err.find("held back"), std::string::npos) << outcome.err;
  // Of a file that was never enforced nothing stays.
  service_.status_view.files = {{"new.yaml", "", FileState::not_guarded, {}}};
  const auto open = ask({"reload"});
  EXPECT_EQ(open.exit, 1);
  EXPECT_NE(open.err.find("! NOT GUARDED: new.yaml: its ports are open until this is mended\n"
                          "generation "),
            std::string::npos)
      << open.err;
  EXPECT_EQ(open.err.find("stays"), std::string::npos) << open.err;
  service_.status_view.files.push_back({"o.yaml", "orders", FileState::held_back, {}});
  const auto both = ask({"reload"});
  EXPECT_LT(both.err.find("NOT GUARDED: new.yaml"), both.err.find("held back: orders (o.yaml)"));
}

TEST_F(CliTest, SaysWhenAChangeIsNotEnforcedWithinTheBound) {
  service_.change = {false,    18,    Milliseconds(1), Milliseconds(300),
                     "o.yaml", "r-1", "no memory",     {}};
  service_.status_view.generation = 18;
  service_.status_view.pending = {{"o.yaml", {}, {}, {}, 0, false}};
  const auto outcome = ask({"reload"});
  EXPECT_EQ(outcome.exit, 4);
  EXPECT_NE(outcome.err.find("NOT ENFORCED within 300 ms: no memory"), std::string::npos)
      << outcome.err;
  EXPECT_EQ(ask({"reload", "--no-wait"}).exit, 0);
  // Without a file that is pending either, as long as no new generation is there.
  service_.status_view.pending.clear();
  EXPECT_EQ(ask({"reload"}).exit, 4);
}

TEST_F(CliTest, CallsNothingEnforcedThatMonitorModeLetsPass) {
  service_.change = {true, 18, Milliseconds(9.2), Milliseconds(120'000), "o.yaml", "r-new", "", {}};
  service_.change.monitored = {"orders"};
  const auto added = ask({"rules", "add", "--database", "orders", "--cidr", "192.0.2.1/32"});
  EXPECT_EQ(added.err,
            "generation 18 in force in 9 ms (bound 120 s); monitor mode, so nothing is dropped: "
            "orders\n");
}

TEST_F(CliTest, TellsWhereADatabasesModeGoesBeforeTheHosts) {
  play_config();
  EXPECT_NE(ask({"status"}).out.find("\nMode            enforce\n"), std::string::npos);
  service_.status_view.monitored = {"orders"};
  EXPECT_NE(
      ask({"status"})
          .out.find("\nHost's mode     enforce (a database's own goes before it, see below)\n"),
      std::string::npos);
  service_.status_view.mode = Mode::monitor;
  EXPECT_NE(ask({"status"}).out.find("\nMode            monitor\n"), std::string::npos);
  service_.status_view.monitored.clear();
  EXPECT_NE(ask({"status"}).out.find("\nHost's mode     monitor (a database's own"),
            std::string::npos);
}

TEST_F(CliTest, SaysThatTheClockIsTakenAsRight) {
  service_.change.enforced = true;
  const auto outcome = ask({"clock", "reset", "--yes"});
  EXPECT_EQ(outcome.exit, 0);
  EXPECT_NE(outcome.err.find("the clock is taken as right"), std::string::npos) << outcome.err;
}

TEST_F(CliTest, DetachesWithoutAskingIfTold) {
  service_.change.is_detached = true;
  EXPECT_EQ(ask({"detach", "--yes"}).exit, 0);
  EXPECT_EQ(service_.calls, (std::vector<std::string>{"status", "detach"}));
}

TEST_F(CliTest, SaysHowToEndTheGuardWithoutMoatd) {
  const std::string socket = files() + "/none";
  EXPECT_NE(moat({"detach", "--yes", "--socket", socket})
                .err.find("to end the guard without it, remove the pins: rm -r FOLDER"),
            std::string::npos);
  EXPECT_EQ(moat({"reload", "--socket", socket}).err.find("remove the pins"), std::string::npos);
  service_.refusal = Refusal{Refusal::Kind::unavailable, "busy", "", {}};
  EXPECT_EQ(ask({"detach", "--yes"}).err.find("remove the pins"), std::string::npos)
      << "moatd is there";
}

TEST_F(CliTest, EscapesWhatGoesIntoAPath) {
  service_.change.enforced = true;
  ask({"databases", "forget", "a/b ?&%"});
  ask({"rules", "remove", "r 1&id=2", "--database", "x=y"});
  EXPECT_EQ(service_.calls, (std::vector<std::string>{"status", "forget(a/b ?&%)", "status",
                                                      "remove_rule(x=y,r 1&id=2)"}));
}

TEST_F(CliTest, DiffFindsWhatDiffers) {
  write_config();
  play_config();
  const auto same = ask({"diff", files()});
  EXPECT_EQ(same.exit, 0) << same.out << same.err;
  EXPECT_EQ(same.out, "");
  EXPECT_EQ(same.err, "no difference: what the files say is enforced\n");

  write("databases.d/orders.yaml",
        "database: orders\nendpoint: {port: 5432}\nrules:\n"
        "  - {id: r-office, cidr: 192.0.2.64/29, label: Desk}\n"
        "  - {id: r-new, cidr: 203.0.113.0/24}\n");
  write("managed-ranges.d/a.yaml", "- {id: mr-a, name: A, cidrs: [198.51.100.0/24, 10.0.0.0/8]}\n");
  const auto different = ask({"diff", files()});
  EXPECT_EQ(different.exit, 1);
  EXPECT_EQ(lines(different.out),
            (std::vector<std::string>{"+ rule r-new of orders: source 203.0.113.0/24",
                                      "~ rule r-office of orders: label: \"Office\" -> \"Desk\"",
                                      "~ managed-range mr-a: cidrs: 1 added, 0 removed, 1 stay"}));
  EXPECT_EQ(ask({"diff", files(), "--json"}).json()["changes"].size(), 3);

  write("databases.d/orders.yaml", "database: [");
  const auto broken = ask({"diff", files()});
  EXPECT_EQ(broken.exit, 1);
  EXPECT_NE(broken.err.find("orders.yaml:1:"), std::string::npos) << broken.err;
}

TEST_F(CliTest, DiffNamesWhatDiffersInMoatYaml) {
  write_config();
  play_config();
  write("moat.yaml",
        "interfaces: [eth0, eth9]\nattach: generic\nmode: enforce\n"
        "trusted-interfaces: [lo, eth1]\nbackstop: false\ndrop-sessions: false\n"
        "backstop-cgroup: /a\npropagation: {bound: 10s, reconcile: 1s, settle: 20ms}\n");
  const auto outcome = ask({"diff", files()});
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_EQ(outcome.out,
            "~ moat.yaml: interfaces: \"[eth0]\" -> \"[eth0, eth9]\", attach: \"auto\" -> "
            "\"generic\", trusted-interfaces: \"[lo]\" -> \"[eth1, lo]\", backstop: \"true\" -> "
            "\"false\", backstop-cgroup: \"\" -> \"/a\", drop-sessions: \"true\" -> \"false\", "
            "bound: \"120000ms\" -> \"10000ms\", reconcile: \"30000ms\" -> \"1000ms\", settle: "
            "\"50ms\" -> \"20ms\"\n");
}

TEST_F(CliTest, DiffDoesNotCallEnforcedWhatIsNot) {
  write_config();
  play_config();
  const auto well = service_.status_view;
  const std::vector<std::pair<void (*)(StatusView&), const char*>> cases{
      {[](StatusView& s) { s.files = {{"o.yaml", "orders", FileState::held_back, {}}}; },
       "! held back: orders (o.yaml): what was last enforced stays\n"},
      {[](StatusView& s) { s.files = {{"o.yaml", "orders", FileState::vanished, {}}}; },
       "! vanished: orders (o.yaml): what was last enforced stays\n"},
      {[](StatusView& s) {
         s.interfaces[0].mode = AttachMode::none;
         s.backstop = {};
       },
       "! eth0 is NOT GUARDED: no program is attached\n"},
  };
  for (const auto& [spoil, line] : cases) {
    service_.status_view = well;
    spoil(service_.status_view);
    const auto outcome = ask({"diff", files()});
    EXPECT_EQ(outcome.exit, 1);
    EXPECT_EQ(outcome.out, line);
    EXPECT_EQ(outcome.err.find("what the files say is enforced"), std::string::npos) << outcome.err;
    EXPECT_EQ(ask({"diff", files(), "--json"}).json()["problems"].size(), 1);
  }
}

// `shop`, with four rules, is in force beside what write_config() says.
TEST_F(CliTest, SaysOfADatabaseWithoutAFileThatItStays) {
  write_config();
  play_config();
  DatabaseView shop;
  shop.id = "shop";
  shop.endpoint.ports = {5433};
  shop.rules = 4;
  service_.database_views.push_back(shop);
  auto rule = service_.rule_views.front();
  rule.database = "shop";
  service_.rule_views.push_back(rule);
  const auto line = fmt::format(
      "! database shop has no file in {}: it stays guarded with its last 4 rules until "
      "moat databases forget shop\n",
      files());

  const auto diff = ask({"diff", files()});
  EXPECT_EQ(diff.exit, 1);
  EXPECT_EQ(diff.out, line);
  EXPECT_EQ(diff.err, "0 added, 0 removed, 0 changed\n");
  const auto json = ask({"diff", files(), "--json"}).json();
  EXPECT_EQ(json["is_different"], true);
  EXPECT_TRUE(json["changes"].empty());
  EXPECT_EQ(json["unnamed"], Json{"shop"});
  EXPECT_EQ(ask({"apply", files(), "--dry-run"}).out, line);

  const auto preflight = ask({"preflight", "--config", files()});
  EXPECT_EQ(preflight.exit, 0);
  EXPECT_EQ(preflight.out, line);
  SessionView session;
  session.peer = "203.0.113.9";
  session.database = "shop";
  session.port = 5433;
  service_.session_views = {session};
  const auto sessions = ask({"sessions", "--config", files()});
  EXPECT_EQ(sessions.out.find("not guarded"), std::string::npos) << sessions.out;

  service_.database_views.back().state = FileState::vanished;
  service_.status_view.files = {{"shop.yaml", "shop", FileState::vanished, {}}};
  EXPECT_EQ(ask({"diff", files()}).out,
            "! vanished: shop (shop.yaml): what was last enforced stays\n")
      << "it is told once";
}

TEST_F(CliTestAsRoot, SaysThatFilesWouldCloseTheHostsOnlyAddress) {
  ASSERT_TRUE(has_own_host_);
  write_config();
  play_config();
  write("databases.d/orders.yaml",
        "database: orders\nendpoint: {ports: all, address: 198.51.100.5}\nrules: []\n");
  ASSERT_TRUE(run("ip addr add 198.51.100.5/24 dev eth0"));
  const auto told = ask({"apply", files(), "--dry-run"});
  EXPECT_TRUE(run("ip addr del 198.51.100.5/24 dev eth0"));
  EXPECT_NE(told.out.find("! database orders would close every port of this host's only address, "
                          "SSH included, to all but its rules\n"),
            std::string::npos)
      << told.out << told.err;
}

TEST_F(CliTest, SaysThatRuleFilesAloneWereRead) {
  write_config();
  play_config();
  std::filesystem::remove(files() + "/moat.yaml");
  for (const auto* command : {"check", "diff"}) {
    const auto outcome = ask({command, files()});
    EXPECT_EQ(outcome.exit, 0) << outcome.out << outcome.err;
    EXPECT_NE(outcome.err.find("there is no moat.yaml in this folder, so the rule files alone were "
                               "read"),
              std::string::npos)
        << outcome.err;
  }
}

TEST_F(CliTest, GoesToTheSocketWhateverTheProxySays) {
  play_config();
  setenv("http_proxy", "http://192.0.2.1:1", 1);
  EXPECT_EQ(ask({"status"}).exit, 0);
  unsetenv("http_proxy");
}

TEST_F(CliTest, NamesTheWordThatNobodyKnows) {
  struct Case {
    std::vector<std::string> arguments;
    std::string said;
  };
  const std::vector<Case> cases{
      {{"statsu"}, "moat: there is no command \"statsu\"\n      did you mean status?\n"},
      {{"rules", "ad"},
       "moat: there is no command of moat rules \"ad\"\n      did you mean add?\n"},
      {{"rules", "add", "--cdir", "192.0.2.1/32"},
       "moat: there is no option \"--cdir\"\n      did you mean --cidr?\n"},
      {{"why", "--confg=x", "192.0.2.1"},
       "moat: there is no option \"--confg\"\n      did you mean --config?\n"},
      {{"--jsn", "status"}, "moat: there is no option \"--jsn\"\n      did you mean --json?\n"}};
  for (const auto& [arguments, said] : cases) {
    const auto outcome = moat(arguments);
    EXPECT_EQ(outcome.exit, 2);
    EXPECT_EQ(outcome.err, said);
    EXPECT_EQ(outcome.out, "");
  }
}

TEST_F(CliTest, TellsProgramsOfWrongUseInJson) {
  for (const auto& arguments : std::vector<std::vector<std::string>>{
           {"statsu", "--json"}, {"rules", "add", "--json"}, {"--json", "why"}}) {
    const auto outcome = moat(arguments);
    EXPECT_EQ(outcome.exit, 2);
    EXPECT_EQ(Json::parse(outcome.out)["error"]["kind"], "invalid") << outcome.out;
  }
}

TEST_F(CliTest, TakesNoEmptyValue) {
  for (const auto& arguments : std::vector<std::vector<std::string>>{
           {"rules", "add", "--cidr", "192.0.2.1/32", "--expires", ""},
           {"rules", "add", "--cidr", "192.0.2.1/32", "--label="},
           {"rules", "remove", ""},
           {"why", "192.0.2.1", "--config", ""}}) {
    const auto outcome = ask(arguments);
    EXPECT_EQ(outcome.exit, 2);
    EXPECT_NE(outcome.err.find("empty"), std::string::npos) << outcome.err;
  }
  EXPECT_TRUE(service_.calls.empty());
}

TEST_F(CliTest, SaysThatItsOutputWasCutOff) {
  const auto run_to = [this](const std::string& words, const std::string& out) {
    const auto err = (folder_.path() / "err").string();
    const int status = std::system(fmt::format("{} {} >{} 2>{}", binary_, words, out, err).c_str());
    return std::pair(WEXITSTATUS(status), read_file(err));
  };
  write_config();
  const auto words = "check --json " + files();
  EXPECT_EQ(run_to(words, "/dev/null").first, 0);
  EXPECT_EQ(
      run_to(words, "/dev/full"),
      std::pair(1, std::string("moat: not all of the output could be written: No space left on "
                               "device\n")));
}

TEST_F(CliTest, ChecksWhatMoatdHoldsBackThoughNothingIsWrongWithItHere) {
  write_config();
  EXPECT_EQ(ask({"check", files()}).exit, 0);
  const auto path = files() + "/databases.d/orders.yaml";
  service_.status_view.files = {{path,
                                 "orders",
                                 FileState::held_back,
                                 {{Severity::error,
                                   {path, 0, 0},
                                   "cannot be read",
                                   "Permission denied",
                                   "let moatd's user read it"}}}};
  const auto outcome = ask({"check", files()});
  EXPECT_EQ(outcome.exit, 1);
  EXPECT_NE(outcome.out.find("orders.yaml: error: moatd holds it back: cannot be read"),
            std::string::npos)
      << outcome.out << outcome.err;
}

TEST_F(CliTest, SendsAChangeThatIsToBeConfirmedAsPartOfItsTrial) {
  play_config();
  service_.trial_view = {"7f", 18, "ada", Milliseconds(60'000)};
  service_.change.enforced = true;
  service_.change.rule_id = "r-1";

  const auto done = ask({"rules", "add", "--cidr", "192.0.2.1/32", "--confirm", "60s"});

  EXPECT_EQ(done.exit, 0) << done.err;
  EXPECT_EQ(done.out, "r-1\n");
  EXPECT_NE(done.err.find("moat confirm"), std::string::npos) << done.err;
  EXPECT_EQ(service_.calls,
            (std::vector<std::string>{"status", "begin_trial(60000,own)", "add_rule"}));
  EXPECT_EQ(service_.peer.trial, "7f");
  EXPECT_EQ(ask({"rules", "add", "--cidr", "192.0.2.1/32", "--confirm", "soon"}).exit, 1);
}

TEST_F(CliTest, PromisesNoUndoWhereNothingWasChanged) {
  play_config();
  service_.change.enforced = true;
  const auto changed = ask({"databases", "enforce", "orders", "--confirm", "60s"});
  EXPECT_NE(changed.err.find("undone in 60s unless you run: moat confirm\n"), std::string::npos)
      << changed.err;
  service_.calls.clear();
  service_.change.unchanged = "orders.yaml says mode: enforce already";
  const auto same = ask({"databases", "enforce", "orders", "--confirm", "60s"});
  EXPECT_EQ(same.exit, 0);
  EXPECT_EQ(same.err,
            "orders.yaml says mode: enforce already: nothing was changed\n"
            "there is nothing to confirm, and nothing will be undone\n");
  EXPECT_EQ(service_.calls.back(), "confirm") << "the trial has ended";
}

TEST_F(CliTest, EndsTheTrialOfAChangeThatIsRefused) {
  play_config();
  service_.refuse_changes = true;
  EXPECT_EQ(ask({"rules", "remove", "r-1", "--confirm", "60s"}).exit, 1);
  EXPECT_EQ(service_.calls, (std::vector<std::string>{"status", "begin_trial(60000,own)",
                                                      "remove_rule(,r-1)", "confirm"}));
}

TEST_F(CliTest, TellsTheHistoryAndWhatChangedInIt) {
  play_config();
  HistoryView entry;
  entry.generation = 17;
  entry.cause = "rule added";
  entry.author = "ada (uid 1000, pid 7)";
  entry.change = "orders: added 192.0.2.1/32";
  entry.files = {
      {"/etc/orders.yaml", "database: orders\nendpoint: {port: 5432}\nrules: [] # caf\u00e9\n"}};
  service_.history_views = {entry};

  const auto list = ask({"history"});
  EXPECT_EQ(list.exit, 0) << list.err;
  EXPECT_NE(list.out.find("rule added"), std::string::npos) << list.out;
  EXPECT_EQ(ask({"history", "--json"}).json()["generations"][0]["generation"], 17);
  const auto one = ask({"history", "17"});
  EXPECT_NE(one.out.find("rules: [] # caf\u00e9\n"), std::string::npos) << one.out;
  EXPECT_EQ(service_.calls.back(), "generation(17)");
  const auto same = ask({"diff", "17"});
  EXPECT_EQ(same.exit, 0);
  EXPECT_EQ(same.err, "no difference: both are generation 17\n");
  entry.generation = 18;
  service_.history_views.insert(service_.history_views.begin(), entry);
  for (const auto& other : {"18", "now"})
    EXPECT_EQ(ask({"diff", "17", other}).err,
              "no difference: the database files of generations 17 and 18 say the same\n");
  EXPECT_EQ(ask({"diff", files(), "17"}).exit, 2);
  service_.history_views.back().files[0].text = "database: orders\nport: 5432\n";
  const auto unread = ask({"diff", "17", "18"});
  EXPECT_EQ(unread.exit, 1) << "nothing is left out unsaid";
  EXPECT_TRUE(unread.err.contains("what /etc/orders.yaml was in generation 17 cannot be read"))
      << unread.err;
  EXPECT_TRUE(unread.err.contains("/etc/orders.yaml:2:1")) << unread.err;
  service_.change.enforced = true;
  EXPECT_EQ(ask({"rollback", "17"}).exit, 0);
  EXPECT_EQ(service_.calls.back(), "roll_back(17)");
}

TEST_F(CliTest, AppliesAFolderThatSomebodySaysYesTo) {
  write_config();
  play_config();
  service_.change.enforced = true;
  EXPECT_EQ(ask({"apply", files()}).exit, 2) << "nobody is here to ask";
  EXPECT_EQ(ask({"apply", files(), "--dry-run"}).exit, 0);
  EXPECT_TRUE(service_.new_files.databases.empty());
  const auto done = ask({"apply", files(), "--yes"});
  EXPECT_EQ(done.exit, 0) << done.err;
  EXPECT_EQ(service_.new_files.settings, "interfaces: [eth0]\n");
  ASSERT_TRUE(service_.new_files.databases.contains("orders.yaml"));
  EXPECT_EQ(service_.new_files.databases["orders.yaml"],
            read_file(files() + "/databases.d/orders.yaml"));
  service_.change.unchanged = "the host's files say all of it already";
  const auto needless = ask({"apply", files()});
  EXPECT_EQ(needless.exit, 0) << "there is nothing to ask";
  EXPECT_EQ(needless.err,
            "no difference: what the files say is enforced\n"
            "the host's files say all of it already: nothing was changed\n");
  EXPECT_EQ(ask({"apply", files(), "--confirm", "60s"}).exit, 0);
  EXPECT_EQ(std::ranges::count(service_.calls, "begin_trial(60000,own)"), 0);
  write("databases.d/orders.yaml", "database: orders\n");
  EXPECT_EQ(ask({"apply", files(), "--yes"}).exit, 1);
}

}  // namespace
}  // namespace moat
