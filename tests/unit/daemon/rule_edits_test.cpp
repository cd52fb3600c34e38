// SPDX-License-Identifier: BSD-2-Clause
// Edits as they are planned and written: on files in a folder, against what a reader would say.
#include "control/daemon/rule_edits.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

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
  ServiceResult<Edit> add(const NewRule& rule) {
    const auto planned = plan_add_rule(basis(), rule);
    if (!planned) return planned;
    if (auto written = write_edit(*planned); !written) return std::unexpected(written.error());
    return planned;
  }
  ServiceResult<Edit> remove(const std::string& database, const std::string& id) {
    const auto planned = plan_remove_rule(basis(), database, id);
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

TEST_F(EditsTest, ForgetsOnlyWhatNoFileMayName) {
  (void)basis();
  const auto refused = [this](const std::string& id) {
    const auto may = check_forget(basis(), id);
    return may ? "" : may.error().message;
  };
  EXPECT_EQ(refused("none"), "there is no database \"none\"");
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
  EXPECT_EQ(refused.error().remedy, "say which with --database");
}

TEST_F(EditsTest, SaysHowToRemoveARuleThatHasExpired) {
  put("orders",
      "database: orders\nendpoint: {port: 5432}\nrules:\n"
      "  - {id: r-old, cidr: 203.0.113.0/24, expires: 2020-01-01T00:00:00Z}\n");
  const auto refused = add({"orders", "203.0.113.0/24", "", "", ""});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "rule r-old names 203.0.113.0/24 already, and expired 2020-01-01T00:00:00Z");
  EXPECT_EQ(refused.error().remedy, "remove it first: moat rules remove --database orders r-old");
  EXPECT_TRUE(remove("orders", "r-old"));
  EXPECT_TRUE(add({"orders", "203.0.113.0/24", "", "", ""}));
}

TEST_F(EditsTest, AddsAManagedRangeWithAnExpiry) {
  ASSERT_TRUE(add({"orders", "", "mr-app-one", "", "12h"}));
  const auto reading = read_database("orders.yaml", get("orders"), now);
  ASSERT_TRUE(reading.value);
  EXPECT_EQ(reading.value->rules[1].managed_range, "mr-app-one");
  EXPECT_EQ(reading.value->rules[1].expires, now + std::chrono::hours(12));
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
                                              "host bits are set"},
                                         Told{"ADuplicate",
                                              {"orders", "198.51.100.25/32", "", "", ""},
                                              "  - cidr: 198.51.100.25/32\n",
                                              "the same source twice"}),
                         [](const auto& test) { return test.param.name; });

TEST_F(EditsTest, RefusesToTouchAFileThatIsInvalid) {
  basis();
  put("orders", "database: orders\nendpoint: {port: 5432}\nrules:\n  - cidr: 10.0.0.1/8\n");
  const auto refused = add({"orders", "203.0.113.0/24", "", "", ""});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Kind::conflict);
  EXPECT_FALSE(refused.error().faults.empty());
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

TEST(ParseExpiry, TakesTimesAndLengths) {
  using namespace std::chrono;
  EXPECT_EQ(parse_expiry("90s", now), now + seconds(90));
  EXPECT_EQ(parse_expiry("30m", now), now + minutes(30));
  EXPECT_EQ(parse_expiry("7d", now), now + days(7));
  EXPECT_EQ(parse_expiry("2w", now), now + weeks(2));
  EXPECT_EQ(parse_expiry("2099-01-31T18:00:00Z", now).value(),
            parse_time("2099-01-31T18:00:00Z").value());
  for (const auto* bad : {"", "m", "0m", "-5m", "5", "5 m", "1y", "99999999999999999999s",
                          "100000000w", "2020-01-01T00:00:00Z", "tomorrow"}) {
    EXPECT_FALSE(parse_expiry(bad, now)) << bad;
  }
}

}  // namespace
}  // namespace moat
