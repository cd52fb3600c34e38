// SPDX-License-Identifier: BSD-2-Clause
#include "control/service/judge_session.h"

#include <gtest/gtest.h>

namespace moat {
namespace {

constexpr WallTime now{std::chrono::seconds(1'800'000'000)};

class JudgeSession : public testing::Test {
 protected:
  JudgeSession() {
    Database orders;
    orders.id = "orders";
    orders.endpoint.ports = {5432};
    Rule office;
    office.id = "r-office";
    office.label = "Office";
    office.cidr = parse_prefix("198.51.100.0/24").value();
    Rule past;
    past.id = "r-past";
    past.cidr = parse_prefix("203.0.113.0/24").value();
    past.expires = now;
    Rule peers;
    peers.id = "r-peers";
    peers.net_peering = "pcx-1";
    orders.rules = {office, past, peers};
    orders.peerings = {{"pcx-1", parse_prefix("10.42.0.0/16").value(), "", "", {}},
                       {"pcx-2", parse_prefix("10.43.0.0/16").value(), "", "", {}}};
    policy_.databases = {orders};
  }

  SessionView judge(const std::string& peer, std::uint16_t port = 5432,
                    const std::string& address = "10.0.0.5") {
    SessionView view;
    view.peer = peer;
    view.address = address;
    view.port = port;
    judge_session(view, policy_, now);
    return view;
  }

  Policy policy_;
};

TEST_F(JudgeSession, NamesTheRuleThatAllowsThePeer) {
  const auto view = judge("198.51.100.7");
  EXPECT_TRUE(view.allowed);
  EXPECT_EQ(view.database, "orders");
  EXPECT_EQ(view.rule, "r-office");
  EXPECT_EQ(view.label, "Office");
  EXPECT_FALSE(view.monitored);
  EXPECT_EQ(judge("10.42.3.4").rule, "r-peers");
}

TEST_F(JudgeSession, AllowsNobodyElse) {
  for (const auto* peer : {"192.0.2.1", "203.0.113.9", "127.0.0.1", "10.43.3.4"}) {
    EXPECT_FALSE(judge(peer).allowed) << peer;
    EXPECT_EQ(judge(peer).database, "orders");
  }
  const auto ipv6 = judge("2001:db8::9", 5432, "2001:db8::5");
  EXPECT_FALSE(ipv6.allowed) << "there are no IPv6 rules";
  EXPECT_EQ(ipv6.database, "orders");
  policy_.mode = Mode::monitor;
  EXPECT_TRUE(judge("192.0.2.1").monitored);
  EXPECT_FALSE(judge("192.0.2.1").allowed) << "whatever the mode";
}

TEST_F(JudgeSession, AllowsEverybodyWhereNothingIsGuarded) {
  const auto view = judge("192.0.2.1", 6432);
  EXPECT_TRUE(view.allowed);
  EXPECT_EQ(view.database, "");
  EXPECT_EQ(view.rule, "");
}

}  // namespace
}  // namespace moat
