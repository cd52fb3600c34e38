// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/fleet_mirror.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

namespace moat {
namespace {

const std::string root_key = fleet_prefix("prod");

EtcdKey key(const std::string& path, const std::string& value, std::int64_t revision) {
  return {root_key + path, value, revision};
}

EtcdListing listing(const std::string& cluster, std::int64_t revision, std::vector<EtcdKey> keys) {
  const auto count = static_cast<std::int64_t>(keys.size());
  return {{cluster, revision}, count, std::move(keys)};
}

std::string head_with(std::uint64_t epoch) { return to_json(FleetHead{.push = 1, .epoch = epoch}); }

std::string complaints(const FleetMirror& mirror) {
  return fmt::format("{}", fmt::join(mirror.complaints(), "; "));
}

TEST(FleetMirror, TakesAListingAndThenChanges) {
  FleetMirror mirror("prod", {});
  EXPECT_FALSE(mirror.is_known());
  ASSERT_TRUE(mirror.take_listing(listing("c", 5, {key("databases/a", "one", 5)})));
  EXPECT_TRUE(mirror.is_known());
  ASSERT_TRUE(mirror.take_changes({"c", 6}, {key("databases/a", "two", 6)}));
  EXPECT_EQ(mirror.values(FleetKind::database).at("a"), "two");
  // What comes late, or twice.
  ASSERT_TRUE(mirror.take_changes({"c", 6}, {key("databases/a", "one", 5)}));
  EXPECT_EQ(mirror.values(FleetKind::database).at("a"), "two");
  EXPECT_EQ(mirror.memory().revision, 6);
  EXPECT_TRUE(mirror.has_all(1));
  EXPECT_FALSE(mirror.has_all(2));
}

TEST(FleetMirror, IsKnownOnceAnEmptyStoreHasItsFirstKey) {
  FleetMirror mirror("prod", {});
  ASSERT_TRUE(mirror.take_listing(listing("c", 1, {})));
  EXPECT_FALSE(mirror.is_known());
  ASSERT_TRUE(mirror.take_changes({"c", 2}, {key("databases/a", "x", 2)}));
  EXPECT_TRUE(mirror.is_known());
}

TEST(FleetMirror, BelievesNoOtherStore) {
  FleetMirror mirror("prod", {"c", 5, 0, 0});
  EXPECT_FALSE(mirror.take_listing(listing("d", 9, {key("databases/a", "x", 9)})));
  EXPECT_FALSE(mirror.take_listing(listing("c", 4, {key("databases/a", "x", 4)})));
  EXPECT_FALSE(mirror.take_listing(listing("c", 6, {})));
  EXPECT_FALSE(mirror.take_changes({"d", 9}, {key("databases/a", "x", 9)}));
  EXPECT_TRUE(mirror.values(FleetKind::database).empty());
  EXPECT_TRUE(mirror.take_listing(listing("c", 5, {key("databases/a", "x", 4)})));
}

// One that was wiped, and has since had more changes than before.
TEST(FleetMirror, BelievesNoStoreWhosePushesBeginAnew) {
  FleetMirror mirror("prod", {"c", 5, 0, 7});
  const auto head = [](std::uint64_t push) { return to_json(FleetHead{.push = push}); };
  EXPECT_FALSE(mirror.take_listing(listing("c", 9, {key("head", head(6), 9)})));
  EXPECT_FALSE(mirror.take_changes({"c", 9}, {key("head", head(6), 9)}));
  EXPECT_TRUE(mirror.take_listing(listing("c", 9, {key("head", head(8), 9)})));
  EXPECT_EQ(mirror.memory().push, 8U);
}

TEST(FleetMirror, FollowsAnotherStoreThatIsMeant) {
  FleetMirror mirror("prod", {"c", 500, 10, 0});
  EXPECT_FALSE(mirror.take_listing(listing("d", 2, {key("head", head_with(10), 2)})));
  ASSERT_TRUE(mirror.take_listing(
      listing("d", 2, {key("databases/a", "x", 2), key("head", head_with(11), 2)})));
  EXPECT_EQ(mirror.memory().cluster, "d");
  EXPECT_EQ(mirror.memory().epoch, 11U);
  EXPECT_FALSE(mirror.take_listing(listing("c", 501, {key("databases/a", "x", 2)})));
}

TEST(FleetMirror, AbsenceRemovesNothingAndIsTold) {
  FleetMirror mirror("prod", {});
  ASSERT_TRUE(mirror.take_listing(
      listing("c", 5, {key("databases/a", "x", 5), key("databases/b", "y", 5)})));
  auto deleted = key("databases/a", "", 6);
  deleted.is_deleted = true;
  ASSERT_TRUE(mirror.take_changes({"c", 6}, {deleted}));
  EXPECT_NE(complaints(mirror).find("databases/a was deleted without a tombstone"),
            std::string::npos);
  ASSERT_TRUE(mirror.take_listing(listing("c", 7, {key("head", head_with(0), 7)})));
  EXPECT_NE(complaints(mirror).find("databases/b is in the store no more"), std::string::npos);
  ASSERT_TRUE(mirror.take_changes({"c", 8}, {key("databases/a", "x", 8)}));
  EXPECT_EQ(complaints(mirror).find("databases/a"), std::string::npos);
}

TEST(FleetMirror, NamesKeysThatAreNone) {
  FleetMirror mirror("prod", {});
  ASSERT_TRUE(mirror.take_listing(
      listing("c", 5,
              {key("databases/../x", "x", 5), key("what", "x", 5), key("databases/Up", "x", 5),
               key("databases/large", std::string(5 << 20, 'x'), 5), key("head", "no JSON", 5)})));
  const auto told = complaints(mirror);
  for (const auto* part :
       {"databases/../x", "\"what\"", "databases/Up", "has 5242880 bytes", "head"})
    EXPECT_NE(told.find(part), std::string::npos) << part;
  EXPECT_TRUE(mirror.values(FleetKind::database).empty());
}

TEST(FleetMirror, APushThatIsToBeConfirmedLapsesWithItsKey) {
  FleetMirror mirror("prod", {});
  const auto head = [](std::uint64_t confirm_s) {
    return to_json(FleetHead{.push = 2, .confirm_s = confirm_s});
  };
  const FleetPush before{.push = 2,
                         .before = {{"databases/a", "one"}, {"databases/b", std::nullopt}}};
  ASSERT_TRUE(
      mirror.take_listing(listing("c", 5,
                                  {key("head", head(60), 5), key("trial", "2", 5),
                                   key("before", to_json(before), 5), key("databases/a", "two", 5),
                                   key("databases/b", "new", 5), key("databases/d", "same", 1)})));
  EXPECT_TRUE(mirror.is_on_trial());
  EXPECT_FALSE(mirror.has_lapsed());
  EXPECT_EQ(mirror.content(FleetMirror::Version::pushed).databases.at("a"), "two");
  EXPECT_EQ(mirror.undo().databases,
            (std::map<std::string, std::string>{{"a", "one"}, {"b", std::string(tombstone)}}));
  ASSERT_TRUE(mirror.take_changes({"c", 6}, {{root_key + "trial", "", 6, true}}));
  EXPECT_TRUE(mirror.has_lapsed());
  EXPECT_EQ(complaints(mirror), "");
  const auto content = mirror.content(FleetMirror::Version::before);
  EXPECT_EQ(content.databases.at("a"), "one");
  EXPECT_EQ(content.databases.at("b"), tombstone);
  EXPECT_EQ(content.databases.at("d"), "same");
  ASSERT_TRUE(mirror.take_changes({"c", 7}, {key("head", head(0), 7)}));
  EXPECT_FALSE(mirror.is_on_trial());
  EXPECT_FALSE(mirror.has_lapsed());
}

}  // namespace
}  // namespace moat
