// SPDX-License-Identifier: BSD-2-Clause
#include "control/service/json.h"

#include "control/policy/coverage.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace moat {
namespace {

using std::chrono::milliseconds;

const auto noon = parse_time("2026-06-01T12:00:00Z").value();
const Place place{"/etc/moat/databases.d/orders.yaml", 4, 5};
const Fault fault{Severity::warning, place, "message", "value", "remedy"};

RuleView rule_view() {
  return {"orders", "r-1",  "managed-range",          "mr-a", "Büro", noon, RuleState::expired,
          12,       {3, 4}, noon + milliseconds(123), place,  noon};
}

DropView drop_view() {
  return {7,    "192.0.2.1",           "orders", 5432, "no-rule", "eth0", 42, true, 12,
          noon, noon + milliseconds(5)};
}

// Writes a view whose members all differ from their defaults, reads it back, and writes it again.
template <typename T>
void expect_same_after_the_way_there_and_back(const T& view) {
  const auto json = encode(view);
  const auto parsed = parse_json(dump(json));
  ASSERT_TRUE(parsed) << parsed.error();
  const auto back = decode<T>(*parsed);
  ASSERT_TRUE(back) << back.error();
  EXPECT_EQ(encode(*back), json);
  for (const auto& [key, value] : json.items()) {
    EXPECT_NE(value, encode(T{})[key]) << key << " was not set by this test";
  }
}

TEST(View, KeepsAStatus) {
  StatusView view;
  view.version = "1.2";
  view.generation = 18;
  view.table_bytes = 1024;
  view.prefixes = 30;
  view.databases = 2;
  view.policy_known = false;
  view.mode = Mode::monitor;
  view.ready = true;
  view.since = noon;
  view.settings.interfaces = {"eth0"};
  view.settings.attach = WantedAttach::generic;
  view.settings.trusted_interfaces = {"eth1"};
  view.settings.settle = milliseconds(20);
  view.settings.socket_readers = "dba";
  view.settings.metrics = "127.0.0.1:9723";
  view.settings.fast_path = {"0000:3b:00.0", "db0", {2, 3}, Hugepages::on};
  view.fast_path = {
      true,    true, 17,   true, "wrong",
      "right", 2,    true, 5,    {{"p", "eth1", "gone", 9000, true, 1, 2, 3, 4, 5, 6}}};
  view.interfaces = {{"eth0", true, AttachMode::generic, 7, true, "reason", "remedy", true}};
  view.backstop = {true, true, "/sys/fs/cgroup", "reason", true, true, "because"};
  view.open_interfaces = {"eth1"};
  view.wide = {{"orders", kClientAddresses, true}};
  view.expired_rules = 3;
  view.expiring_rules = 4;
  view.outside_backstop = {{6432, "/sys/fs/cgroup/a"}};
  view.files = {{"/a.yaml", "orders", FileState::not_guarded, {fault}}};
  view.last =
      Propagation{"/a.yaml", noon, noon + milliseconds(2), noon + milliseconds(9), 18, true};
  view.pending = {{"/b.yaml", noon, noon, std::nullopt, 19, false}};
  view.bound = Milliseconds(1.5);
  view.placeholders = {"bills"};
  view.shadowed = {"more-bills"};
  view.monitored = {"orders"};
  view.withdrawn = {"mr-b"};
  view.held_down = {{"mr-c", 2, WallTime(std::chrono::seconds(8))}};
  view.guarded_ranges = {"mr-d"};
  view.sources = {{"mr-e", "https://lists.example/e", "7", noon, noon, noon, noon, 60, true, 2, 3,
                   "error", "note"}};
  view.fleet =
      FleetView{"prod", "etcd https://e", 4, 5, noon, 60, true, "waiting", "error", {"db"}};
  view.trial = TrialView{"7f", 17, "ada", Milliseconds(1.5)};
  view.clock_was_at = std::chrono::floor<std::chrono::seconds>(noon);
  view.problems = {{"held-back", "a.yaml", "message", "remedy", {fault}}};
  view.notices = {{"mended", "", "message", "remedy", {}}};
  view.headline = "all is well";
  expect_same_after_the_way_there_and_back(view);
}

TEST(View, KeepsEvents) {
  expect_same_after_the_way_there_and_back(
      EventsView{{{7, noon, "problem", "a.yaml", "held-back", 18, "ada", "held back: a"}}, 8});
}

TEST(View, KeepsARule) { expect_same_after_the_way_there_and_back(rule_view()); }

TEST(View, KeepsADatabase) {
  DatabaseView view{"orders",
                    {Address(0x0a000005), {5432, 6432}, true},
                    Mode::monitor,
                    FileState::vanished,
                    true,
                    "/a.yaml",
                    3,
                    1,
                    {1, 2},
                    {3, 4},
                    "0123456789abcdef"};
  view.monitored = {5, 6};
  view.expired = 2;
  view.expectations = {
      {false, Address(0x0a000307), "standby", false, WallTime(std::chrono::seconds(8)), place}};
  expect_same_after_the_way_there_and_back(view);
}

TEST(View, KeepsWhatItTellsOfTheNetwork) {
  expect_same_after_the_way_there_and_back(NetPeeringView{"orders",
                                                          "pcx-1",
                                                          "10.42.0.0/16",
                                                          "42",
                                                          "Staging",
                                                          NetPeeringState::no_route,
                                                          "eth0",
                                                          "10.0.0.5",
                                                          {3, 4},
                                                          place});
  expect_same_after_the_way_there_and_back(
      NetworkView{"orders",
                  {std::nullopt, {5432}},
                  {{"eth0", "10.0.0.5", "10.0.0.0/24"}},
                  {{"pcx-1", "10.42.0.0/16", "eth0", "10.0.0.5"}}});
  expect_same_after_the_way_there_and_back(EndpointsView{{{"e-1",
                                                           "orders",
                                                           EndpointType::private_peering,
                                                           "10.0.0.5",
                                                           5432,
                                                           true,
                                                           true,
                                                           true,
                                                           {"eth0"},
                                                           true}},
                                                         {6432}});
}

TEST(View, KeepsAManagedRange) {
  expect_same_after_the_way_there_and_back(
      ManagedRangeView{"mr-a",
                       "France",
                       2,
                       "0123456789abcdef",
                       "/a.yaml",
                       std::chrono::system_clock::time_point(std::chrono::milliseconds(5)),
                       true,
                       {"orders"},
                       WallTime(std::chrono::seconds(6)),
                       1,
                       2,
                       3,
                       4,
                       WallTime(std::chrono::seconds(7)),
                       1,
                       {{*parse_prefix("192.0.2.8/29"), WallTime(std::chrono::seconds(8)),
                         WallTime(std::chrono::seconds(9))}},
                       HeldVersion{"fedcba9876543210", 3, "loses 1 of 2 CIDRs"},
                       RangeSourceView{.range = "mr-a", .source = "dns a.example"},
                       {"192.0.2.0/24"}});
}

TEST(View, KeepsAReasonWhy) {
  expect_same_after_the_way_there_and_back(WhyView{"192.0.2.1",
                                                   "orders",
                                                   true,
                                                   "allowed",
                                                   "r-1",
                                                   "mr-a",
                                                   "Büro",
                                                   "192.0.2.0/24",
                                                   place,
                                                   "detail",
                                                   18,
                                                   true,
                                                   noon,
                                                   drop_view(),
                                                   false,
                                                   {{"port 5432 of 10.0.0.5", "near", true}},
                                                   WallTime(std::chrono::seconds(7)),
                                                   "docker0"});
}

TEST(View, KeepsCounters) {
  expect_same_after_the_way_there_and_back(
      CountersView{{rule_view()},
                   {{"host", "ipv6", true, {5, 6}}},
                   {{"orders", {7, 8}, {9, 10}, Mode::monitor}},
                   11});
}

TEST(View, KeepsDrops) {
  expect_same_after_the_way_there_and_back(drop_view());
  expect_same_after_the_way_there_and_back(DropsView{{drop_view()}, 8, 100, 90, 2});
}

TEST(View, KeepsASession) {
  expect_same_after_the_way_there_and_back(SessionView{"192.0.2.9", 51234, "10.0.0.5", 5432,
                                                       "orders", "r-1", "Büro", true, true, true,
                                                       4711, Milliseconds(250)});
}

TEST(View, KeepsAChange) {
  ChangeView view{true,
                  18,
                  Milliseconds(9.25),
                  Milliseconds(1000),
                  "/a.yaml",
                  "r-1",
                  "why not",
                  {fault},
                  3,
                  {{"192.0.2.9", "orders", 2}, {"2001:db8::9", "", 1}},
                  "rule r-1 is so already",
                  true};
  view.is_detached = true;
  view.monitored = {"orders"};
  view.preview = PreviewView{"b1", "orders: removed 192.0.2.1/32", {}, {}, {"all of it"}, true};
  view.closed = {"orders"};
  expect_same_after_the_way_there_and_back(view);
}

TEST(View, KeepsAGenerationAndATrial) {
  expect_same_after_the_way_there_and_back(HistoryView{
      17, noon, "rule added", "ada", "moat rules add", "orders: added", {{"/a.yaml", "text"}}});
  expect_same_after_the_way_there_and_back(TrialView{"7f", 17, "ada", Milliseconds(1.5)});
}

TEST(View, ReadsARequestForFilesStrictly) {
  const auto files =
      read_new_files(R"({"databases": {"a.yaml": "x"}, "settings": "interfaces: []"})");
  ASSERT_TRUE(files);
  EXPECT_EQ(files->databases.at("a.yaml"), "x");
  EXPECT_EQ(files->settings, "interfaces: []");
  EXPECT_EQ(read_new_files(R"({"databases": {}})")->settings, std::nullopt);
  for (const auto* text : {"", "[]", "{}", R"({"databases": []})", R"({"databases": {"a": 1}})",
                           R"({"databases": {}, "setting": "x"})"})
    EXPECT_FALSE(read_new_files(text)) << text;
}

TEST(View, KeepsARefusal) {
  expect_same_after_the_way_there_and_back(
      Refusal{Refusal::Kind::conflict, "message", "remedy", {fault}});
}

TEST(View, KeepsARequestForARule) {
  const NewRule rule{"orders", "192.0.2.1/32", "mr-a", "Büro", "12h", true, "pcx-1"};
  expect_same_after_the_way_there_and_back(rule);
  for (const auto* name :
       {"database", "cidr", "managed_range", "net_peering", "label", "expires"}) {
    auto json = encode(rule);
    json[name] = "";
    const auto refused = read_request<NewRule>(dump(json));
    ASSERT_FALSE(refused) << name;
    EXPECT_EQ(refused.error().message, fmt::format("\"{}\" is empty", name));
  }
  const auto read = read_request<NewRule>(dump(encode(rule)));
  ASSERT_TRUE(read);
  EXPECT_EQ(encode(*read), encode(rule));
}

TEST(View, KeepsRequestsForAChange) {
  expect_same_after_the_way_there_and_back(RuleChange{"Büro", "never"});
  EXPECT_EQ(read_request<RuleChange>(R"({"label": ""})")->label, "");
  EXPECT_EQ(read_request<RuleChange>(R"({"expires": "8h"})")->label, std::nullopt);
  EXPECT_EQ(read_request<RuleChange>(R"({"expires": ""})").error().message, "\"expires\" is empty");
  EXPECT_EQ(read_request<RuleChange>(R"({"label": null})").error().message,
            "\"label\" is null, not a string");
  expect_same_after_the_way_there_and_back(ModeChange{"monitor"});
  EXPECT_EQ(read_request<RuleChange>(R"({"cidr": "192.0.2.1/32"})").error().message,
            "unknown key \"cidr\"");
  EXPECT_EQ(read_request<NewRule>(R"({"if_absent": "yes"})").error().remedy,
            "write it as \"if_absent\": true");
}

TEST(View, WritesTimesDurationsAndWordsForPrograms) {
  const auto json = encode(rule_view());
  EXPECT_EQ(json["expires"], "2026-06-01T12:00:00Z");
  EXPECT_EQ(json["last_hit"], "2026-06-01T12:00:00.123Z");
  EXPECT_EQ(json["state"], "expired");
  EXPECT_EQ(encode(RuleView{})["expires"], nullptr);
  ChangeView change;
  change.took = Milliseconds(9.25);
  EXPECT_EQ(encode(change)["took_ms"], 9.25);
  DatabaseView database;
  EXPECT_EQ(encode(database)["endpoint"]["address"], nullptr);
  database.endpoint.address = Address(0x0a000005);
  EXPECT_EQ(encode(database)["endpoint"]["address"], "10.0.0.5");
  EXPECT_EQ(encode(database)["endpoint"]["ipv6"], nullptr);
  database.endpoint.ipv6 = Ipv6::closed;
  EXPECT_EQ(encode(database)["endpoint"]["ipv6"], "closed");
}

TEST(View, BeginsADocumentWithItsSchema) {
  EXPECT_EQ(list_document("rules", std::vector<RuleView>{}).dump(),
            R"({"schema":"moat/1","rules":[]})");
  EXPECT_EQ(document(encode(StatusView{})).begin().key(), "schema");
}

TEST(View, PassesOverWhatItDoesNotKnow) {
  const auto view = decode<StatusView>(parse_json(R"({"generation": 7, "novelty": [1]})").value());
  ASSERT_TRUE(view);
  EXPECT_EQ(view->generation, 7);
}

TEST(View, NamesTheMemberThatDoesNotFit) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {R"({"generation": "7"})", "\"generation\" is not what it should be"},
      {R"({"generation": -1})", "\"generation\" is not what it should be"},
      {R"({"prefixes": 4294967296})", "\"prefixes\" is not what it should be"},
      {R"({"ready": 1})", "\"ready\" is not what it should be"},
      {R"({"since": "yesterday"})", "\"since\" is not what it should be"},
      {R"({"mode": "strict"})", "\"mode\" is not what it should be"},
      {R"({"placeholders": ["a", 1]})", "\"placeholders\" is not what it should be"},
      {R"({"backstop": {"at_sockets": 3}})", "backstop: \"at_sockets\" is not what it should be"},
      {"[]", "not an object"}};
  for (const auto& [text, error] : cases) {
    const auto view = decode<StatusView>(parse_json(text).value());
    ASSERT_FALSE(view) << text;
    EXPECT_EQ(view.error(), error);
  }
}

TEST(View, WritesBytesThatAreNoText) {
  FileStatus file;
  file.path = "/etc/moat/\xff.yaml";
  const auto text = dump(encode(file));
  EXPECT_NE(text.find("/etc/moat/\uFFFD.yaml"), std::string::npos) << text;
}

TEST(View, RefusesAKeyThatIsThereTwiceAtAnyDepth) {
  EXPECT_TRUE(parse_json(R"([{"a": 1}, {"a": 2}, {"b": {"a": 1}}])"));
  const auto twice = parse_json(R"({"b": [{"a": 1, "c": 2, "a": 3}]})");
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error(), "the key \"a\" is there twice");
}

}  // namespace
}  // namespace moat
