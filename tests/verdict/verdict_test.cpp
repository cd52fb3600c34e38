// SPDX-License-Identifier: BSD-2-Clause
// Every case of the table through every engine: same verdict, same reason, same counter. Needs
// root.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "bpf/verdict.h"
#include "tests/verdict/case_table.h"
#include "tests/verdict/engines.h"
#include "tests/verdict/kernel.h"

namespace moat::testing {
namespace {

constexpr const char* kCases = "tests/verdict/cases";
constexpr const char* kPolicies = "tests/verdict/policies/";

std::vector<Case> cases() { return load_cases(kCases).value_or(std::vector<Case>{}); }

class CaseTest : public ::testing::TestWithParam<Case> {
 protected:
  static void SetUpTestSuite() {
    auto engines = all_engines();
    ASSERT_TRUE(engines) << engines.error().message << "; " << engines.error().remedy;
    engines_ = std::make_unique<Engines>(std::move(*engines));
  }
  static void TearDownTestSuite() { engines_.reset(); }

  static void check(Engine& engine, const Scene& scene, const char* which, const Side& side) {
    const auto slot = wanted_slot(scene, side.wanted);
    ASSERT_TRUE(slot) << slot.error().message;
    for (const auto& frame : side.frames) {
      if (!engine.takes(frame)) continue;
      const auto outcome = engine.judge(scene, frame);
      ASSERT_TRUE(outcome) << engine.name() << ", " << which << ": " << outcome.error().message;
      EXPECT_EQ(describe(*outcome), describe({side.wanted.drop, *slot}))
          << engine.name() << ", " << which << ", wanted: " << side.wanted.text;
    }
  }

  using Engines = std::vector<std::unique_ptr<Engine>>;
  static std::unique_ptr<Engines> engines_;  // one set for all cases: loading takes its time
};
std::unique_ptr<CaseTest::Engines> CaseTest::engines_;

TEST_P(CaseTest, EveryEngineAgrees) {
  ASSERT_NE(engines_, nullptr) << "no engines: see above";
  auto policy = load_policy(kPolicies + GetParam().policy);
  ASSERT_TRUE(policy) << policy.error().message;
  const auto scene = make_scene(std::move(*policy), GetParam().at);
  ASSERT_TRUE(scene) << scene.error().message;
  for (const auto& engine : *engines_) {
    const auto used = engine->use(*scene);
    ASSERT_TRUE(used) << engine->name() << ": " << used.error().message;
    check(*engine, *scene, "A", GetParam().a);
    check(*engine, *scene, "B", GetParam().b);
  }
}

std::string test_name(const ::testing::TestParamInfo<Case>& info) {
  std::string name = info.param.group + "_" + info.param.name;
  std::ranges::replace_if(name, [](char c) { return c == '-' || c == '.'; }, '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Table, CaseTest, ::testing::ValuesIn(cases()), test_name);

// That the engines count the same bytes, the cases above see to.
TEST(Bytes, EndWithThePacketAndNotWithItsPadding) {
  unsigned padded = 0;
  for (const Case& each : cases()) {
    if (each.group != "ipv4" || !each.name.starts_with("padding")) continue;
    const auto scene = make_scene(load_policy(kPolicies + each.policy).value(), each.at);
    ASSERT_TRUE(scene) << scene.error().message;
    const auto& frame = each.a.frame();
    const std::size_t end = 14u + (frame[16] << 8 | frame[17]);
    EXPECT_LT(end, frame.size());
    EXPECT_EQ(judge(scene->table, frame).bytes, end) << each.name;
    padded++;
  }
  EXPECT_GE(padded, 2u);
}

TEST(CaseTable, CanBeRead) {
  const auto cases = load_cases(kCases);
  ASSERT_TRUE(cases) << cases.error().message;
  EXPECT_GE(cases->size(), 150u);
}

TEST(CaseTable, HasEveryReasonOfTheNic) {
  std::set<unsigned> reasons;
  for (const Case& each : cases())
    for (const Side* side : {&each.a, &each.b}) reasons.insert(side->wanted.reason);
  for (unsigned reason = 0; reason < MOAT_BACKSTOP; reason++)
    EXPECT_TRUE(reasons.contains(reason)) << reason_text(reason);
}

// Which table is live depends on which tiers are occupied.
class TierTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto kernel = Kernel::load();
    ASSERT_TRUE(kernel) << kernel.error().message << "; " << kernel.error().remedy;
    kernel_ = std::move(*kernel);
    for (const Case& each : cases())
      if (each.group == "tags" && each.name == "plain") frame_ = each.a.frame();
    ASSERT_FALSE(frame_.empty());
  }

  void place(unsigned tier, const std::string& policy) {
    auto scene = make_scene(load_policy(kPolicies + policy).value(), {}).value();
    const auto placed = kernel_->place(tier, scene.table);
    ASSERT_TRUE(placed) << placed.error().message;
  }

  std::unique_ptr<Kernel> kernel_;
  std::vector<std::uint8_t> frame_;  // from the listed source of policy one-port
};

TEST_F(TierTest, WithoutATablePacketsPassUncounted) {
  const auto before = kernel_->counters().value();
  EXPECT_FALSE(kernel_->drops(frame_).value());
  const auto after = kernel_->counters().value();
  for (std::size_t slot = 0; slot < after.size(); slot++)
    EXPECT_EQ(after[slot].packets, before[slot].packets) << slot;
}

TEST_F(TierTest, TheSmallestOccupiedOneIsLive) {
  place(2, "nobody");
  EXPECT_TRUE(kernel_->drops(frame_).value());
  place(1, "one-port");
  EXPECT_FALSE(kernel_->drops(frame_).value());
  place(0, "nobody");
  EXPECT_TRUE(kernel_->drops(frame_).value());
}

TEST_F(TierTest, DeletingTheSmallOneUncoversTheBigOne) {
  place(2, "one-port");
  place(0, "nobody");
  EXPECT_TRUE(kernel_->drops(frame_).value());
  ASSERT_TRUE(kernel_->vacate(0));
  EXPECT_FALSE(kernel_->drops(frame_).value());
}

}  // namespace
}  // namespace moat::testing
