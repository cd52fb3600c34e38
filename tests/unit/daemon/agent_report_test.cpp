// SPDX-License-Identifier: BSD-2-Clause
// What status tells of moat-agent, by what the agent has left in the folder of the managed ranges.
#include "control/daemon/agent_report.h"

#include <gtest/gtest.h>

#include <chrono>

#include "control/files/agent_files.h"
#include "control/service/problem.h"
#include "tests/support/temporary_folder.h"

namespace moat {
namespace {

using std::chrono::hours;
using std::chrono::system_clock;

class AgentReportTest : public testing::Test {
 protected:
  StatusView told_of(const AgentStatus& status) {
    EXPECT_TRUE(write_agent_status(folder_.path(), status));
    return told();
  }
  StatusView told() {
    StatusView view;
    add_agent(folder_.path(), view);
    return view;
  }

  TemporaryFolder folder_;
};

AgentSource source(system_clock::duration age, std::string error) {
  AgentSource source;
  source.range = "mr-a";
  source.source = "https://lists.example/a";
  source.fetched = system_clock::now() - age;
  source.max_age = 7200;
  source.error = std::move(error);
  return source;
}

AgentFleet fleet(system_clock::duration age, std::string error) {
  AgentFleet fleet;
  fleet.name = "shop";
  fleet.listed = system_clock::now() - age;
  fleet.max_age = 7200;
  fleet.error = std::move(error);
  return fleet;
}

TEST_F(AgentReportTest, SaysNothingWithoutAnAgent) {
  const auto view = told();
  EXPECT_TRUE(view.problems.empty());
  EXPECT_TRUE(view.notices.empty());
}

TEST_F(AgentReportTest, TellsOfEachSourceAndOfTheFleet) {
  const auto view =
      told_of({{source(hours(1), ""), source(hours(3), "no route")}, fleet(hours(1), "")});
  ASSERT_EQ(view.sources.size(), 2);
  EXPECT_FALSE(view.sources[0].is_stale);
  EXPECT_EQ(view.sources[0].source, "https://lists.example/a");
  EXPECT_TRUE(view.sources[1].is_stale);
  EXPECT_EQ(view.sources[1].error, "no route");
  ASSERT_TRUE(view.fleet);
  EXPECT_EQ(view.fleet->name, "shop");
  EXPECT_EQ(agents_sources(folder_.path()).size(), 2);
}

TEST_F(AgentReportTest, SaysNothingWhereAllIsWell) {
  const auto view = told_of({{source(hours(1), "")}, fleet(hours(1), "")});
  EXPECT_TRUE(view.problems.empty());
  EXPECT_TRUE(view.notices.empty());
}

TEST_F(AgentReportTest, NamesWhatIsStale) {
  const auto view = told_of({{source(hours(3), "404 Not Found")}, fleet(hours(50), "")});
  ASSERT_EQ(view.problems.size(), 2u);
  EXPECT_EQ(view.problems[0].code, code::range_stale);
  EXPECT_EQ(view.problems[0].subject, "mr-a");
  EXPECT_EQ(view.problems[0].message, "managed range mr-a was last checked 3 h ago: 404 Not Found");
  EXPECT_EQ(view.problems[1].code, code::fleet_stale);
  EXPECT_EQ(view.problems[1].message, "fleet shop was last heard of 2 d ago; does moat-agent run?");
}

TEST_F(AgentReportTest, NoticesWhatFailsForNow) {
  const auto view = told_of({{source(hours(1), "404 Not Found")}, fleet(hours(1), "no answer")});
  EXPECT_TRUE(view.problems.empty());
  ASSERT_EQ(view.notices.size(), 2u);
  EXPECT_EQ(view.notices[0].code, code::range_unfetched);
  EXPECT_EQ(view.notices[1].code, code::fleet_unreached);
}

TEST_F(AgentReportTest, NamesWhatTheFleetHasThatWasNotTaken) {
  auto shop = fleet(hours(1), "");
  shop.held_back = {"databases/orders: rules: unknown key"};
  const auto view = told_of({{}, shop});
  ASSERT_EQ(view.problems.size(), 1u);
  EXPECT_EQ(view.problems[0].code, code::fleet_held_back);
}

TEST_F(AgentReportTest, SaysThatItCannotReadWhatTheAgentTells) {
  folder_.put(std::string(agent_status_name), "[]");
  const auto view = told();
  ASSERT_EQ(view.notices.size(), 1u);
  EXPECT_EQ(view.notices[0].code, code::agent_unread);
}

}  // namespace
}  // namespace moat
