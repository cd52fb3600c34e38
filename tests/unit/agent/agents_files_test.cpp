// SPDX-License-Identifier: BSD-2-Clause
#include "control/agent/agents_files.h"

#include <gtest/gtest.h>

#include "control/files/agent_files.h"
#include "control/files/rule_files.h"
#include "control/policy/cidrs_digest.h"
#include "tests/support/temporary_folder.h"

namespace moat {
namespace {

const Prefixes two = {{Address(0xc0000200), 24}, {Address(0xc6336400), 24}};
const Prefixes one = {{Address(0xc0000200), 24}};

TEST(AgentsFiles, AreReadAsTheyWereMeant) {
  const TemporaryFolder folder;
  const auto written = write_range(folder.path(), "mr-x", "A \"name\": #1", two, WriteMode::write);
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_TRUE(written->is_changed);
  EXPECT_EQ(written->added, 2U);
  const TemporaryFolder databases;
  const auto files =
      RuleFileReader({}, std::chrono::system_clock::now, RuleFileReader::UnsafeWays::warned_of)
          .read({databases.path(), folder.path()}, WallTime{});
  ASSERT_EQ(files.ranges.size(), 1U);
  ASSERT_TRUE(files.ranges[0].reading.value);
  const auto& range = files.ranges[0].reading.value->at(0);
  EXPECT_EQ(range.id, "mr-x");
  EXPECT_EQ(range.name, "A \"name\": #1");
  EXPECT_EQ(*range.cidrs, two);
  EXPECT_TRUE(is_agents(folder.get("mr-x.yaml")));
  EXPECT_TRUE(is_agents(folder.get("mr-x.txt")));
}

TEST(AgentsFiles, SameAgainWritesNothing) {
  const TemporaryFolder folder;
  ASSERT_TRUE(write_range(folder.path(), "mr-x", "", two, WriteMode::write));
  const auto again = write_range(folder.path(), "mr-x", "", two, WriteMode::write);
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->is_changed);
  const auto less = write_range(folder.path(), "mr-x", "", one, WriteMode::write);
  ASSERT_TRUE(less);
  EXPECT_EQ(less->removed, 1U);
  EXPECT_EQ(written_digest(folder.path(), "mr-x"), cidrs_digest(one));
}

TEST(AgentsFiles, TryingOutWritesNothing) {
  const TemporaryFolder folder;
  const auto tried = write_range(folder.path(), "mr-x", "", two, WriteMode::try_out);
  ASSERT_TRUE(tried);
  EXPECT_EQ(tried->added, 2U);
  EXPECT_EQ(folder.count(), 0U);
}

TEST(AgentsFiles, SomebodyElsesFileIsLeftAlone) {
  const TemporaryFolder folder;
  folder.put("mr-x.yaml", "- {id: mr-x, cidrs: [192.0.2.0/24]}\n");
  const auto written = write_range(folder.path(), "mr-x", "", two, WriteMode::write);
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().message.find("is not the agent's, and is left alone"),
            std::string::npos);
  EXPECT_EQ(folder.get("mr-x.yaml"), "- {id: mr-x, cidrs: [192.0.2.0/24]}\n");
  EXPECT_EQ(folder.count(), 1U);
}

TEST(AgentsFiles, WhatMoatdWouldRefuseIsNotWritten) {
  const TemporaryFolder folder;
  ASSERT_TRUE(write_range(folder.path(), "mr-x", "", two, WriteMode::write));
  EXPECT_FALSE(write_range(folder.path(), "mr-x", "a\nb", two, WriteMode::write));
  EXPECT_FALSE(write_range(folder.path(), "mr-x", "", {}, WriteMode::write));
  EXPECT_EQ(written_digest(folder.path(), "mr-x"), cidrs_digest(two));
}

TEST(AgentStatus, IsReadAsItWasWritten) {
  const TemporaryFolder folder;
  EXPECT_FALSE(read_agent_status(folder.path()).value());
  AgentStatus status;
  status.sources.push_back({.range = "mr-x", .source = "https://x/", .version = "7"});
  status.sources[0].fetched = std::chrono::sys_days(std::chrono::year(2026) / 11 / 26);
  status.sources[0].error = "it \xff failed";
  ASSERT_TRUE(write_agent_status(folder.path(), status));
  const auto read = read_agent_status(folder.path());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ((*read)->find("mr-x")->fetched, status.sources[0].fetched);
  EXPECT_EQ((*read)->find("mr-x")->version, "7");
  EXPECT_EQ((*read)->find("mr-y"), nullptr);
  folder.put(std::string(agent_status_name), "{\"sources\": 3}");
  EXPECT_FALSE(read_agent_status(folder.path()));
}

TEST(AgentStatus, WishesAreKeptUntilNewerOnesTakeTheirPlace) {
  const TemporaryFolder folder;
  const std::chrono::sys_time<std::chrono::milliseconds> now(
      std::chrono::milliseconds(1'800'000'000'123));
  ASSERT_TRUE(ask_agent_to_refresh(folder.path(), "mr-x", now));
  ASSERT_TRUE(ask_agent_to_refresh(folder.path(), "mr-y", now));
  ASSERT_TRUE(ask_agent_to_refresh(folder.path(), "mr-x", now + std::chrono::seconds(1)));
  const auto wishes = read_refresh_requests(folder.path());
  ASSERT_EQ(wishes.size(), 2U);
  EXPECT_EQ(wishes[0].range, "mr-y");
  EXPECT_EQ(wishes[1].range, "mr-x");
  EXPECT_EQ(wishes[1].time, now + std::chrono::seconds(1));
}

}  // namespace
}  // namespace moat
