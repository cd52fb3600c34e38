// SPDX-License-Identifier: BSD-2-Clause
// Edits as they are planned and written: on files in a folder, against what a reader would say.
#include "control/daemon/rule_edits.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "control/resolve/resolve.h"
#include "tests/support/temporary_folder.h"

namespace moat {
namespace {

using Kind = Refusal::Kind;

constexpr WallTime now{std::chrono::seconds(1'800'000'000)};

constexpr auto orders_yaml =
    "# Orders\n"
    "database: orders\n"
    "endpoint: {port: 5432}\n"
    "rules:\n"
    "  - cidr: 198.51.100.25/32   # mine\n"
    "    label: My workstation\n";

class EditsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(folder_ / "databases.d");
    std::filesystem::create_directory(folder_ / "managed-ranges.d");
    put("orders", orders_yaml);
    folder_.put("managed-ranges.d/app.yaml",
                "- id: mr-app-one\n  name: One\n  cidrs: [192.0.2.0/28]\n");
  }
  void put(const std::string& name, const std::string& bytes) const {
    folder_.put("databases.d/" + name + ".yaml", bytes);
  }
  [[nodiscard]] std::string get(const std::string& name) const {
    return folder_.get("databases.d/" + name + ".yaml");
  }

  // The basis, with what the files said just now as enforced.
  EditBasis basis() {
    RuleFileReader reader;
    files_ = reader.read({folder_ / "databases.d", folder_ / "managed-ranges.d"}, now);
    enforced_ = resolve(files_, Mode::enforce, enforced_ ? &*enforced_ : nullptr).state;
    return {files_, Mode::enforce, &*enforced_, forgotten_, now, now};
  }

  // The edit, planned and written.
  ServiceResult<Edit> add(const NewRule& rule) { return write(plan_add_rule(basis(), rule)); }
  ServiceResult<Edit> remove(const std::string& database, const std::string& id) {
    return write(plan_remove_rule(basis(), {database, id, "", ""}));
  }
  ServiceResult<Edit> set(const std::string& id, const RuleChange& change) {
    return write(plan_set_rule(basis(), {"orders", id, "", ""}, change));
  }
  static ServiceResult<Edit> write(const ServiceResult<Edit>& planned) {
    if (!planned) return planned;
    if (auto written = write_edit(*planned); !written) return std::unexpected(written.error());
    return planned;
  }

  // Refused for this, with the words that the reader has for a file that says the same; and nothing
  // has changed.
  void expect_refused(const ServiceResult<Edit>& answer, Kind kind, const std::string& words) {
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind, kind);
    EXPECT_NE(all_words(answer.error()).find(words), std::string::npos)
        << all_words(answer.error());
    EXPECT_EQ(get("orders"), orders_yaml);
  }
  static std::string all_words(const Refusal& refusal) {
    auto text = refusal.message;
    for (const auto& fault : refusal.faults) text += "\n" + format_fault(fault);
    return text;
  }

  TemporaryFolder folder_;
  RuleFiles files_;
  std::optional<EnforcedState> enforced_;
  std::set<std::string> forgotten_;
};

TEST_F(EditsTest, FilesOfTheAgentsAreNotEdited) {
  const auto agents = "# moat-agent: written by moat-agent\n" + std::string(orders_yaml);
  put("orders", agents);
  const auto added = add({"orders", "203.0.113.0/24", "", "", ""});
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().kind, Kind::conflict);
  EXPECT_NE(added.error().message.find("is moat-agent's"), std::string::npos);
  EXPECT_FALSE(plan_set_mode(basis(), "orders", Mode::monitor));
  const auto path = folder_ / "databases.d/orders.yaml";
  EXPECT_FALSE(plan_files(basis(), {{{path, orders_yaml}}, false}));
  // What comes and goes by the agent does not go as it is not among the files.
  const auto all = plan_files(basis(), {{}, true});
  ASSERT_TRUE(all);
  EXPECT_TRUE(all->edits.empty());
  EXPECT_EQ(get("orders"), agents);
}

TEST_F(EditsTest, AddsARuleAndKeepsTheRestOfTheFile) {
  const auto edit = add({"orders", "203.0.113.0/24", "", "The office", ""});
  ASSERT_TRUE(edit) << edit.error().message;
  EXPECT_TRUE(get("orders").starts_with(orders_yaml)) << get("orders");
  const auto reading = read_database("orders.yaml", get("orders"), now);
  ASSERT_TRUE(reading.value);
  ASSERT_EQ(reading.value->rules.size(), 2U);
  EXPECT_EQ(reading.value->rules[1].source(), "203.0.113.0/24");
  EXPECT_EQ(reading.value->rules[1].label, "The office");
  EXPECT_EQ(reading.value->rules[1].id, edit->rule_id);
}

TEST_F(EditsTest, RefusesWhatWouldBreakAnExpectation) {
  const std::string expects = std::string(orders_yaml) +
                              "expect:\n  - allow: 198.51.100.25\n    label: standby\n"
                              "  - deny: 203.0.113.9\n";
  put("orders", expects);
  (void)basis();
  const auto id = enforced_->policy.databases[0].rules[0].id;
  const auto expect_kept = [&](const ServiceResult<Edit>& answer, const std::string& words) {
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind, Kind::invalid);
    EXPECT_NE(all_words(answer.error()).find(words), std::string::npos)
        << all_words(answer.error());
    EXPECT_EQ(get("orders"), expects);
  };
  expect_kept(remove("orders", id), "standby (198.51.100.25) would be denied since rule " + id);
  expect_kept(add({"orders", "203.0.113.0/24", "", "", ""}),
              "203.0.113.9 would be allowed by 203.0.113.0/24 of rule r-");
  const auto set_end = set(id, {std::nullopt, "8h"});
  ASSERT_TRUE(set_end) << all_words(set_end.error());
  ASSERT_EQ(set_end->warnings.size(), 1u) << "time will end it";
  EXPECT_NE(set_end->warnings[0].message.find("is allowed until 2027-01-15T16:00:00Z alone"),
            std::string::npos)
      << set_end->warnings[0].message;
}

TEST_F(EditsTest, RefusesFilesThatWouldBreakAnExpectation) {
  const std::string expects = std::string(orders_yaml) + "expect:\n  - allow: 198.51.100.25\n";
  put("orders", expects);
  const auto path = folder_ / "databases.d/orders.yaml";
  auto wanted = expects;
  wanted.replace(wanted.find("198.51.100.25/32"), 16, "198.51.100.26/32");
  const auto plan = plan_files(basis(), {{{path, wanted}}, true});
  ASSERT_FALSE(plan);
  EXPECT_NE(all_words(plan.error()).find("198.51.100.25 would be denied"), std::string::npos)
      << all_words(plan.error());
  EXPECT_TRUE(plan_files(basis(), {{{path, orders_yaml}}, true}))
      << "without the expectation they may say so";
}

TEST_F(EditsTest, ForgetsOnlyWhatNoFileMayName) {
  (void)basis();
  const auto refused = [this](const std::string& id) {
    const auto may = check_forget(basis(), id);
    return may ? "" : may.error().message;
  };
  EXPECT_EQ(refused("none"), "there is no database \"none\"");
  EXPECT_EQ(check_forget(basis(), "order").error().remedy, "did you mean orders?");
  const auto path = folder_ / "databases.d/orders.yaml";
  EXPECT_EQ(refused("orders"), path + " names database orders");
  put("orders", "rules: [\n");
  EXPECT_EQ(refused("orders"), path + " names database orders") << "as it last did";
  std::filesystem::remove(path);
  put("new", "rules: [\n");
  EXPECT_EQ(refused("orders"),
            folder_ / "databases.d/new.yaml" + " does not tell which database it is about");
  std::filesystem::remove(folder_ / "databases.d/new.yaml");
  EXPECT_EQ(refused("orders"), "");
}

TEST_F(EditsTest, NeedsNoDatabaseWhereThereIsOne) {
  EXPECT_TRUE(add({"", "203.0.113.0/24", "", "", ""}));
  put("shop", "database: shop\nendpoint: {port: 3306}\nrules: []\n");
  const auto refused = plan_add_rule(basis(), {"", "10.0.0.0/8", "", "", ""});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().remedy, "say which with --database: orders, shop");
}

TEST_F(EditsTest, SaysHowToGiveARuleThatHasExpiredAnotherEnd) {
  put("orders",
      "database: orders\nendpoint: {port: 5432}\nrules:\n"
      "  - {id: r-old, cidr: 203.0.113.0/24, expires: 2020-01-01T00:00:00Z}\n");
  for (const bool if_absent : {false, true}) {
    const auto refused = add({"orders", "203.0.113.0/24", "", "", "7d", if_absent});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message,
              "rule r-old names 203.0.113.0/24 already, and expired 2020-01-01T00:00:00Z");
    EXPECT_EQ(refused.error().remedy,
              "give it another end: moat rules set --database orders r-old --expires 7d");
  }
  EXPECT_EQ(add({"orders", "203.0.113.0/24", "", "", ""}).error().remedy,
            "give it another end: moat rules set --database orders r-old --no-expires");
  ASSERT_TRUE(set("r-old", {std::nullopt, "7d"}));
  EXPECT_EQ(read_database("f", get("orders"), now).value->rules[0].expires,
            now + std::chrono::days(7));
}

TEST_F(EditsTest, ChangesARuleInItsPlaceAndKeepsItsId) {
  const auto id = read_database("f", orders_yaml, now).value->rules[0].id;
  const auto edit = set(id, {"At home", "2027-01-31"});
  ASSERT_TRUE(edit) << edit.error().message;
  EXPECT_EQ(edit->rule_id, id);
  EXPECT_EQ(get("orders"),
            "# Orders\n"
            "database: orders\n"
            "endpoint: {port: 5432}\n"
            "rules:\n"
            "  - cidr: 198.51.100.25/32   # mine\n"
            "    label: At home\n"
            "    expires: 2027-01-31T00:00:00Z\n");
  EXPECT_EQ(read_database("f", get("orders"), now).value->rules[0].id, id);
  ASSERT_TRUE(set(id, {"My workstation", "never"}));
  EXPECT_EQ(get("orders"), orders_yaml);
  const auto again = set(id, {"My workstation", "never"});
  ASSERT_TRUE(again);
  EXPECT_EQ(again->unchanged, "rule " + id + " of orders is so already");
}

TEST_F(EditsTest, TakesALabelOut) {
  const auto id = read_database("f", orders_yaml, now).value->rules[0].id;
  ASSERT_TRUE(set(id, {"", ""}));
  EXPECT_EQ(get("orders"),
            "# Orders\n"
            "database: orders\n"
            "endpoint: {port: 5432}\n"
            "rules:\n"
            "  - cidr: 198.51.100.25/32   # mine\n");
  EXPECT_EQ(set(id, {"", ""})->unchanged, "rule " + id + " of orders is so already");
}

TEST_F(EditsTest, RefusesToSetWhatNoFileMaySay) {
  const auto id = read_database("f", orders_yaml, now).value->rules[0].id;
  expect_refused(set(id, {std::nullopt, ""}), Kind::invalid, "nothing is to be set");
  expect_refused(set(id, {std::nullopt, "2020-01-01"}), Kind::invalid, "expired already");
  expect_refused(set(id, {std::string(300, 'x'), ""}), Kind::invalid, "300 bytes");
  expect_refused(set("r-nothing", {"a", ""}), Kind::not_found, "r-nothing");
}

TEST_F(EditsTest, KnowsARuleByTheBeginningOfItsIdAndByItsSource) {
  const std::string three =
      "database: orders\nendpoint: {port: 5432}\nrules:\n"
      "  - {id: r-1111aaaa, cidr: 203.0.113.0/24, label: Office}\n"
      "  - {id: r-1111bbbb, cidr: 10.0.0.0/8}\n"
      "  - {id: r-1111, managed-range: mr-app-one}\n";
  put("orders", three);
  const auto named = [this](const RuleName& name) {
    const auto planned = plan_remove_rule(basis(), name);
    return planned ? planned->rule_id : planned.error().message + " | " + planned.error().remedy;
  };
  EXPECT_EQ(named({"orders", "r-1111a", "", ""}), "r-1111aaaa");
  EXPECT_EQ(named({"orders", "r-1111", "", ""}), "r-1111") << "a whole id is no beginning";
  EXPECT_EQ(named({"orders", "", "10.0.0.0/8", ""}), "r-1111bbbb");
  EXPECT_EQ(named({"orders", "", "", "mr-app-one"}), "r-1111");
  EXPECT_EQ(named({"orders", "r-111", "", ""}),
            "several rules' ids begin with \"r-111\" | write more of the one meant: "
            "r-1111aaaa (203.0.113.0/24, Office), r-1111bbbb (10.0.0.0/8), r-1111 (mr-app-one)");
  EXPECT_EQ(named({"orders", "", "10.0.0.0/9", ""}),
            "database orders has no rule for 10.0.0.0/9 | see `moat why 10.0.0.0`");
  EXPECT_EQ(named({"orders", "", "10.0.0.1/8", ""}),
            "host bits are set: \"10.0.0.1/8\" | the network is 10.0.0.0/8, this address "
            "alone 10.0.0.1/32");
  EXPECT_EQ(named({"orders", "", "", ""}),
            "no rule is named | name it by exactly one of its id, its CIDR, its managed range "
            "and its net peering");
  put("orders", orders_yaml);
  EXPECT_TRUE(named({"orders", "r-", "", ""})
                  .starts_with("\"r-\" is too short for the beginning of a rule's id"));
}

TEST_F(EditsTest, LeavesARuleThatIsThereAlready) {
  const auto id = read_database("f", orders_yaml, now).value->rules[0].id;
  const auto same = add({"orders", "198.51.100.25/32", "", "My workstation", "", true});
  ASSERT_TRUE(same) << same.error().message;
  EXPECT_EQ(same->rule_id, id);
  EXPECT_EQ(same->unchanged, "rule " + id + " of orders names 198.51.100.25/32 already");
  const auto other = add({"orders", "198.51.100.25/32", "", "At home", "7d", true});
  ASSERT_TRUE(other);
  EXPECT_EQ(other->unchanged, "rule " + id +
                                  " of orders names 198.51.100.25/32 already; it has label \"My "
                                  "workstation\" and no end: see moat rules set");
  EXPECT_EQ(get("orders"), orders_yaml);
  EXPECT_EQ(add({"orders", "10.0.0.0/8", "", "", "", true})->unchanged, "");
  EXPECT_NE(get("orders"), orders_yaml);
}

TEST_F(EditsTest, CallsNothingDoneThatAFileHeldBackSays) {
  (void)basis();
  const std::string clashing =
      "database: shop\nendpoint: {port: 5432}\nrules: [{cidr: 10.0.0.0/8}]\n";
  put("shop", clashing);
  const auto refused = add({"shop", "10.0.0.0/8", "", "", "", true});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            folder_ / "databases.d/shop.yaml" + " is held back: mend it first");
  EXPECT_FALSE(refused.error().faults.empty());
}

TEST_F(EditsTest, SetsTheModeOfADatabase) {
  ASSERT_TRUE(write(plan_set_mode(basis(), "orders", Mode::monitor)));
  EXPECT_EQ(get("orders"), std::string(orders_yaml) + "mode: monitor\n");
  EXPECT_EQ(write(plan_set_mode(basis(), "orders", Mode::monitor))->unchanged,
            folder_ / "databases.d/orders.yaml" + " says mode: monitor already");
  ASSERT_TRUE(write(plan_set_mode(basis(), "orders", Mode::enforce)));
  EXPECT_EQ(get("orders"), std::string(orders_yaml) + "mode: enforce\n");
  EXPECT_FALSE(plan_set_mode(basis(), "odrers", Mode::monitor));
}

TEST_F(EditsTest, AddsAManagedRangeWithAnExpiry) {
  ASSERT_TRUE(add({"orders", "", "mr-app-one", "", "12h"}));
  const auto reading = read_database("orders.yaml", get("orders"), now);
  ASSERT_TRUE(reading.value);
  EXPECT_EQ(reading.value->rules[1].managed_range, "mr-app-one");
  EXPECT_EQ(reading.value->rules[1].expires, now + std::chrono::hours(12));
}

TEST_F(EditsTest, RegistersANetPeeringThatAdmitsNobodyUntilARuleLetsItIn) {
  const auto added =
      write(plan_add_peering(basis(), {"", "pcx-1", "10.42.0.0/16", "42", "Staging"}));
  ASSERT_TRUE(added) << added.error().message;
  ASSERT_EQ(added->warnings.size(), 1U);
  EXPECT_EQ(added->warnings[0].remedy,
            "add a rule: moat rules add --database orders --net-peering pcx-1");
  EXPECT_TRUE(get("orders").starts_with(orders_yaml)) << get("orders");

  NewRule rule{"orders", "", "", "Peers", ""};
  rule.net_peering = "pcx-1";
  const auto edit = add(rule);
  ASSERT_TRUE(edit) << edit.error().message;
  EXPECT_TRUE(edit->warnings.empty());
  rule.if_absent = true;
  EXPECT_EQ(add(rule)->unchanged, "rule " + edit->rule_id + " of orders names pcx-1 already");

  const auto refused = write(plan_remove_peering(basis(), {"orders", "pcx-1"}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Kind::conflict);
  EXPECT_EQ(refused.error().message,
            "rule " + edit->rule_id + " (Peers) lets net peering pcx-1 in");
  EXPECT_EQ(refused.error().remedy,
            "remove the rule first: moat rules remove --database orders " + edit->rule_id);

  ASSERT_TRUE(write(plan_remove_rule(basis(), {"orders", "", "", "", "pcx-1"})));
  ASSERT_TRUE(write(plan_remove_peering(basis(), {"orders", "pcx-1"})));
  EXPECT_EQ(get("orders"), orders_yaml);
}

TEST_F(EditsTest, KnowsARuleForANetPeeringFromOneForARangeOfThatName) {
  put("orders",
      "database: orders\nendpoint: {port: 5432}\n"
      "rules:\n  - {id: r-range, managed-range: mr-app-one}\n"
      "net-peerings:\n  - {id: mr-app-one, cidr: 10.42.0.0/16}\n");
  NewRule rule{"orders", "", "", "", "", true};
  rule.net_peering = "mr-app-one";
  const auto edit = add(rule);
  ASSERT_TRUE(edit) << edit.error().message;
  EXPECT_EQ(edit->unchanged, "");
  EXPECT_EQ(plan_remove_rule(basis(), {"orders", "", "", "", "mr-app-one"})->rule_id,
            edit->rule_id);
  EXPECT_EQ(plan_remove_rule(basis(), {"orders", "", "", "mr-app-one"})->rule_id, "r-range");
}

TEST_F(EditsTest, RefusesANetPeeringThatIsNotThereOrIsNone) {
  ASSERT_TRUE(write(plan_add_peering(basis(), {"", "pcx-12345", "10.42.0.0/16", "", ""})));
  const auto file = get("orders");
  const auto words = [](const ServiceResult<Edit>& answer) {
    return answer ? "" : all_words(answer.error()) + " | " + answer.error().remedy;
  };
  NewRule rule{"orders", "", "", "", ""};
  rule.net_peering = "pcx-12346";
  EXPECT_EQ(words(add(rule)),
            "database orders has no net peering \"pcx-12346\" | did you mean pcx-12345?");
  EXPECT_EQ(words(plan_remove_peering(basis(), {"", "nothing"})),
            "database orders has no net peering \"nothing\" | see `moat net-peerings list "
            "--database orders`, and `moat net-peerings add`");
  EXPECT_EQ(words(plan_add_peering(basis(), {"", "pcx-2", "10.42.0.1/16", "", ""})),
            "host bits are set: \"10.42.0.1/16\" | the network is 10.42.0.0/16, this address alone "
            "10.42.0.1/32");
  EXPECT_EQ(words(plan_add_peering(basis(), {"", "pcx-2", "10.42.0.0/16", "", ""})),
            "the same peered network twice: \"10.42.0.0/16\" | the first is in line 9");
  EXPECT_TRUE(words(plan_add_peering(basis(), {"", "pcx-12345", "10.43.0.0/16", "", ""}))
                  .starts_with("net peering pcx-12345 of orders is registered already, as "
                               "10.42.0.0/16 | to change it, edit "));
  EXPECT_EQ(words(plan_remove_rule(basis(), {"", "pcx-12345", "", ""})),
            "pcx-12345 is a net peering, not a rule | name the rule that lets it in: --net-peering "
            "pcx-12345");
  EXPECT_EQ(get("orders"), file);
}

TEST_F(EditsTest, UndoesWhatItDid) {
  const auto edit = add({"orders", "203.0.113.0/24", "", "", ""});
  ASSERT_TRUE(edit);
  ASSERT_TRUE(remove("orders", edit->rule_id));
  EXPECT_EQ(get("orders"), orders_yaml);
}

TEST_F(EditsTest, RefusesWhatAFileMayNotSay) {
  expect_refused(add({"orders", "203.0.113.5/24", "", "", ""}), Kind::invalid, "203.0.113.5/24");
  expect_refused(add({"orders", "", "mr-app-tow", "", ""}), Kind::invalid, "mr-app-tow");
  expect_refused(add({"orders", "198.51.100.25/32", "", "", ""}), Kind::invalid,
                 "198.51.100.25/32");
  expect_refused(add({"orders", "10.0.0.0/8", "mr-app-one", "", ""}), Kind::invalid, "one source");
  expect_refused(add({"orders", "", "", "", ""}), Kind::invalid, "one source");
  expect_refused(add({"orders", "10.0.0.0/8", "", "", "2020-01-01T00:00:00Z"}), Kind::invalid,
                 "expired");
  expect_refused(add({"orders", "10.0.0.0/8", "", std::string(300, 'x'), ""}), Kind::invalid, "");
}

// What a file is told that says the same.
struct Told {
  const char* name;
  NewRule rule;
  const char* line;
  const char* words;
};

class SameWords : public EditsTest, public testing::WithParamInterface<Told> {};

TEST_P(SameWords, ByCommandAndByFile) {
  std::string full = orders_yaml;
  for (int i = 2; i < 30; i++) full += "  - cidr: 10.0." + std::to_string(i) + ".0/24\n";
  if (GetParam().words == std::string("more than 30 rules")) full += "  - cidr: 10.1.0.0/24\n";
  put("orders", full);
  const auto refused = add(GetParam().rule);
  ASSERT_FALSE(refused);
  EXPECT_EQ(get("orders"), full);

  put("orders", full + GetParam().line);
  const auto checked = resolve(basis().files, Mode::enforce, nullptr);
  ASSERT_EQ(checked.files[0].id, "orders");
  ASSERT_EQ(checked.files[0].faults.size(), 1U);
  const auto& fault = checked.files[0].faults[0];
  EXPECT_EQ(fault.message, GetParam().words);
  const auto words = all_words(refused.error()) + refused.error().remedy;
  for (const auto& part : {fault.message, fault.value, fault.remedy}) {
    EXPECT_NE(words.find(part), std::string::npos) << part << " is not in " << words;
  }
}

INSTANTIATE_TEST_SUITE_P(Refusals, SameWords,
                         testing::Values(Told{"TheThirtyFirstRule",
                                              {"orders", "203.0.113.0/24", "", "", ""},
                                              "  - cidr: 203.0.113.0/24\n",
                                              "more than 30 rules"},
                                         Told{"AnUnknownManagedRange",
                                              {"orders", "", "mr-app-tow", "", ""},
                                              "  - managed-range: mr-app-tow\n",
                                              "unknown managed range"},
                                         Told{"HostBits",
                                              {"orders", "203.0.113.5/24", "", "", ""},
                                              "  - cidr: 203.0.113.5/24\n",
                                              "host bits are set"}),
                         [](const auto& test) { return test.param.name; });

TEST_F(EditsTest, NamesTheRuleThatHasTheSourceAlready) {
  basis();
  const auto first = add({"orders", "203.0.113.0/24", "", "", ""});
  ASSERT_TRUE(first);
  const auto refused = add({"orders", "203.0.113.0/24", "", "", ""});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Kind::invalid);
  EXPECT_EQ(refused.error().message,
            "rule " + first->rule_id + " of orders names 203.0.113.0/24 already");
  EXPECT_EQ(refused.error().remedy,
            "to change it: moat rules set --database orders " + first->rule_id);
}

TEST_F(EditsTest, RefusesToTouchAFileThatIsInvalid) {
  basis();
  put("orders", "database: orders\nendpoint: {port: 5432}\nrules:\n  - cidr: 10.0.0.1/8\n");
  const auto refused = add({"orders", "203.0.113.0/24", "", "", ""});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Kind::conflict);
  EXPECT_FALSE(refused.error().faults.empty());
}

TEST_F(EditsTest, ShowsNoFileThatAUsersSymlinkHasLedToSinceItWasRead) {
  if (::geteuid() != 0) {
    std::cout << "NOT TESTED: needs root\n";
    return;
  }
  const auto read = basis();
  const auto path = folder_ / "databases.d/orders.yaml";
  const auto secret =
      folder_.put("secret", "database: orders\nendpoint: {port: hash}\nrules: []\n", 0600);
  std::filesystem::remove(path);
  std::filesystem::create_symlink(secret, path);
  ASSERT_EQ(::lchown(path.c_str(), 65534, 65534), 0);
  const auto planned = plan_add_rule(read, {.database = "orders", .cidr = "10.0.0.0/8"});
  ASSERT_FALSE(planned);
  const auto words = all_words(planned.error());
  EXPECT_NE(words.find("is a symlink to a file of another user"), std::string::npos) << words;
  EXPECT_EQ(words.find("hash"), std::string::npos) << words;
}

TEST_F(EditsTest, RefusesWhatItDoesNotKnow) {
  expect_refused(add({"odrers", "10.0.0.0/8", "", "", ""}), Kind::not_found, "odrers");
  expect_refused(remove("orders", "r-nothing"), Kind::not_found, "r-nothing");
}

TEST_F(EditsTest, RefusesAFileThatHasChangedMeanwhile) {
  const auto planned = plan_add_rule(basis(), {"orders", "203.0.113.0/24", "", "", ""});
  ASSERT_TRUE(planned);
  put("orders", std::string(orders_yaml) + "  - cidr: 10.0.0.0/8\n");
  const auto written = write_edit(*planned);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind, Kind::conflict);
  EXPECT_EQ(get("orders"), std::string(orders_yaml) + "  - cidr: 10.0.0.0/8\n");
}

TEST_F(EditsTest, RefusesAReadOnlyFile) {
  ASSERT_EQ(chmod((folder_ / "databases.d/orders.yaml").c_str(), 0444), 0);
  expect_refused(add({"orders", "203.0.113.0/24", "", "", ""}), Kind::forbidden, "orders.yaml");
}

TEST_F(EditsTest, RefusesForADatabaseWhoseFileIsGone) {
  basis();
  std::filesystem::remove(folder_ / "databases.d/orders.yaml");
  for (const auto* database : {"orders", ""}) {
    const auto refused = add({database, "203.0.113.0/24", "", "", ""});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, Kind::conflict);
    EXPECT_NE(refused.error().remedy.find("bring back"), std::string::npos);
  }
}

TEST_F(EditsTest, SaysWhatIsWrongWithAFileTooBrokenToTellItsDatabase) {
  basis();
  put("orders", "rules: [\n");
  for (const auto* database : {"orders", ""}) {
    const auto refused = add({database, "203.0.113.0/24", "", "", ""});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, Kind::conflict);
    EXPECT_NE(all_words(refused.error()).find("not YAML"), std::string::npos)
        << all_words(refused.error());
  }
}

TEST_F(EditsTest, WhatKilledEditsLeftIsRemovedAlsoWhereASymlinkLeads) {
  std::filesystem::create_directory(folder_ / "real");
  folder_.put("real/bills.yaml", "database: bills\nendpoint: {port: 3306}\nrules: []\n");
  std::filesystem::create_symlink(folder_ / "real/bills.yaml", folder_ / "databases.d/bills.yaml");
  const auto two_hours_ago = std::filesystem::file_time_type::clock::now() - std::chrono::hours(2);
  for (const auto* left :
       {"databases.d/.orders.yaml.moat-a1B2c3", "real/.bills.yaml.moat-a1B2c3"}) {
    folder_.put(left, "x");
    std::filesystem::last_write_time(folder_ / left, two_hours_ago);
  }
  remove_edit_leftovers(basis().files);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "databases.d/.orders.yaml.moat-a1B2c3"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "real/.bills.yaml.moat-a1B2c3"));
  EXPECT_EQ(get("orders"), orders_yaml);
}

}  // namespace
}  // namespace moat
