// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/fleet_files.h"

#include <gtest/gtest.h>

#include "control/agent/fleet_bundle.h"
#include "control/agent/fleet_keys.h"
#include "tests/support/temporary_folder.h"

namespace moat {
namespace {

using Lines = std::vector<std::string>;

const std::string orders =
    "database: orders\nendpoint: {port: 5432}\nrules: [{managed-range: mr-own}]\n";
const std::string sales = "database: sales\nendpoint: {port: 5433}\nrules: []\n";

TEST(FleetFiles, AHostHasWhatItNamesAndWhatHasItsLabels) {
  const FleetContent content{.databases = {{"a", ""}, {"b", ""}, {"c", ""}},
                             .labels = {{"a", "eu\nproduction\n"}, {"b", "us\n"}}};
  EXPECT_EQ(selected_databases(content, {}), (Lines{"a", "b", "c"}));
  EXPECT_EQ(selected_databases(content, {.labels = {"production"}}), (Lines{"a"}));
  EXPECT_EQ(selected_databases(content, {.databases = {"c"}, .labels = {"us"}}), (Lines{"b", "c"}));
  EXPECT_EQ(selected_databases(content, {.labels = {"prod"}}), Lines{});
}

class FleetFilesTest : public testing::Test {
 protected:
  FleetResult write(const FleetContent& content, const FleetSettings& settings = {}) {
    return write_fleet(content, settings, {databases_.path(), ranges_.path()});
  }

  TemporaryFolder databases_;
  TemporaryFolder ranges_;
};

TEST_F(FleetFilesTest, WritesDatabasesAndTheRangesThatTheyName) {
  const FleetContent content{
      .databases = {{"orders", orders}},
      .ranges = {{"mr-own", "198.18.1.0/24\n"}, {"mr-other", "198.18.2.0/24\n"}}};
  const auto result = write(content);
  EXPECT_TRUE(result.is_changed);
  EXPECT_EQ(result.held_back, Lines{});
  EXPECT_TRUE(databases_.get("orders.yaml").ends_with(orders));
  EXPECT_TRUE(ranges_.get("mr-own.txt").ends_with("198.18.1.0/24\n"));
  EXPECT_EQ(ranges_.count(), 2U) << "mr-other is named by no rule";
  EXPECT_FALSE(write(content).is_changed);
}

TEST_F(FleetFilesTest, EachIsCheckedOnItsOwn) {
  const auto result = write({.databases = {{"orders", "database: orders\n"}, {"sales", sales}}});
  EXPECT_EQ(result.held_back.size(), 1U);
  EXPECT_EQ(databases_.get("orders.yaml"), "");
  EXPECT_TRUE(databases_.get("sales.yaml").ends_with(sales));
}

TEST_F(FleetFilesTest, ATombstoneRemovesTheAgentsFileAlone) {
  static_cast<void>(write({.databases = {{"sales", sales}}}));
  databases_.put("other.yaml", sales);
  const std::string removed(tombstone);
  const auto result = write({.databases = {{"sales", removed}, {"other", removed}}});
  EXPECT_EQ(databases_.get("sales.yaml"), "");
  EXPECT_EQ(databases_.get("other.yaml"), sales);
  ASSERT_EQ(result.held_back.size(), 1U);
  EXPECT_NE(result.held_back[0].find("is not the agent's"), std::string::npos);
}

TEST_F(FleetFilesTest, WhatIsNoLongerTheHostsStaysAndIsTold) {
  static_cast<void>(write({.databases = {{"sales", sales}}}));
  const auto gone = write({.databases = {}});
  ASSERT_EQ(gone.held_back.size(), 1U);
  EXPECT_NE(gone.held_back[0].find("the fleet has no database sales"), std::string::npos);
  EXPECT_TRUE(databases_.get("sales.yaml").ends_with(sales));
}

TEST(FleetBundle, IsReadAsItWasWritten) {
  const FleetBundle bundle{
      "prod", 12, {.databases = {{"sales", sales}}, .labels = {{"sales", "eu\n"}}}};
  const auto read = parse_bundle(to_json(bundle));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->serial, 12U);
  EXPECT_EQ(read->content.databases, bundle.content.databases);
  EXPECT_EQ(read->content.labels, bundle.content.labels);
  EXPECT_FALSE(parse_bundle("{}"));
  EXPECT_FALSE(parse_bundle(R"({"databases": {"../x": "y"}})"));
}

TEST(FleetFolder, IsCheckedAsHostsWould) {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder / "databases.d");
  std::filesystem::create_directories(folder / "ranges");
  folder.put("databases.d/sales.yaml", sales);
  folder.put("ranges/mr-own.txt", "198.18.1.0/24\n");
  folder.put("labels.yaml", "sales: [eu]\n");
  folder.put("removed.yaml", "databases: [old]\n");
  Faults faults;
  const auto content = read_fleet_folder(folder.path(), faults);
  ASSERT_TRUE(content) << format_fault(faults.at(0));
  EXPECT_EQ(content->databases.at("sales"), sales);
  EXPECT_EQ(content->databases.at("old"), tombstone);
  EXPECT_EQ(content->labels.at("sales"), "eu\n");
  folder.put("databases.d/bad.yaml", "database: bad\n");
  folder.put("ranges/mr-bad.txt", "198.18.1.1/24\n");
  folder.put("labels.yaml", "unknown: [eu]\n");
  folder.put("removed.yaml", "databases: [sales]\n");
  EXPECT_FALSE(read_fleet_folder(folder.path(), faults));
  EXPECT_GE(faults.size(), 4U);
}

TEST(FirstOf, ASentenceForEachOfTooManyIsNotTold) {
  EXPECT_EQ(first_of({"a", "b"}), (std::vector<std::string>{"a", "b"}));
  const auto told = first_of(std::vector<std::string>(100'000, std::string(5000, 'x')));
  EXPECT_EQ(told.size(), 51);
  EXPECT_LE(told.front().size(), 1010);
  EXPECT_EQ(told.back(), "and 99950 more");
}

}  // namespace
}  // namespace moat
