// SPDX-License-Identifier: BSD-2-Clause
#include "control/enforce/interfaces.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <sstream>

#include "control/os/log.h"
#include "tests/support/fake_path.h"

namespace moat {
namespace {

class InterfacesTest : public testing::Test {
 protected:
  InterfacesTest() {
    for (const auto* name : {"moat-a", "moat-b"}) path_.add_interface(name);
  }

  Interfaces::Changes ensure(std::vector<std::string> names) {
    Config config;
    config.interfaces = std::move(names);
    return interfaces_.ensure(config);
  }

  FakePath path_;
  std::ostringstream logged_;
  Log log_{"test", std::make_shared<spdlog::sinks::ostream_sink_st>(logged_)};
  Interfaces interfaces_{path_, log_};
};

TEST_F(InterfacesTest, AttachesWhatIsNamed) {
  const auto changes = ensure({"moat-a"});
  EXPECT_TRUE(changes.attached);
  EXPECT_TRUE(changes.mended.empty());
  ASSERT_EQ(interfaces_.status().size(), 1);
  EXPECT_EQ(interfaces_.status()[0].mode, AttachMode::native);
  EXPECT_EQ(path_.interfaces["moat-b"].mode, AttachMode::none);
  EXPECT_TRUE(interfaces_.all_attached());
  EXPECT_FALSE(ensure({"moat-a"}).attached) << "nothing is new the second time";
}

TEST_F(InterfacesTest, AnInterfaceThatIsNotThereIsAttachedWhenItComes) {
  ensure({"moat-c"});
  EXPECT_FALSE(interfaces_.status()[0].present);
  EXPECT_TRUE(interfaces_.all_attached()) << "there is nothing to attach to";
  path_.add_interface("moat-c");
  EXPECT_TRUE(ensure({"moat-c"}).attached);
}

TEST_F(InterfacesTest, WhatCannotBeAttachedIsNotCalledGuarded) {
  path_.failures["ensure_attached"] = "Operation not supported";
  EXPECT_FALSE(ensure({"moat-a"}).attached);
  EXPECT_FALSE(interfaces_.all_attached());
  EXPECT_NE(
      logged_.str().find("Moat's program is NOT on interface moat-a: Operation not supported"),
      std::string::npos)
      << logged_.str();
  path_.failures.clear();
  EXPECT_TRUE(ensure({"moat-a"}).attached);
  EXPECT_TRUE(interfaces_.all_attached());
}

TEST_F(InterfacesTest, SomebodyElsesProgramIsLeftAlone) {
  path_.interfaces["moat-a"].foreign = true;
  path_.interfaces["moat-a"].mode = AttachMode::native;
  path_.interfaces["moat-a"].program_id = 99;
  EXPECT_FALSE(ensure({"moat-a"}).attached);
  EXPECT_FALSE(interfaces_.all_attached());
  EXPECT_EQ(path_.interfaces["moat-a"].program_id, 99);
}

TEST_F(InterfacesTest, AProgramThatWasTakenOffIsMendedAndTold) {
  ensure({"moat-a"});
  path_.interfaces["moat-a"].mode = AttachMode::none;
  path_.interfaces["moat-a"].program_id = 0;
  const auto changes = ensure({"moat-a"});
  EXPECT_TRUE(changes.attached);
  EXPECT_EQ(changes.mended, std::vector<std::string>{"interface moat-a had lost Moat's program"});
}

TEST_F(InterfacesTest, AProgramThatWasReplacedIsMendedAndTold) {
  ensure({"moat-a"});
  path_.interfaces["moat-a"].program_id = 8;
  EXPECT_EQ(ensure({"moat-a"}).mended,
            std::vector<std::string>{"interface moat-a ran another program than Moat's"});
}

TEST_F(InterfacesTest, ANameThatIsTakenOutIsDetached) {
  ensure({"moat-a", "moat-b"});
  EXPECT_EQ(ensure({"moat-b"}).removed, std::vector<std::string>{"moat-a"});
  EXPECT_EQ(path_.interfaces["moat-a"].mode, AttachMode::none);
}

TEST_F(InterfacesTest, ANameThatTheHostDoesNotHaveTakesNoOtherInterfaceOff) {
  ensure({"moat-a"});
  for (int turn = 0; turn < 2; ++turn) {  // it is not forgotten at the next turn
    EXPECT_TRUE(ensure({"moat-c"}).removed.empty());
    EXPECT_EQ(path_.interfaces["moat-a"].mode, AttachMode::native);
    ASSERT_EQ(interfaces_.status().size(), 2);
    EXPECT_EQ(
        interfaces_.status()[1].reason,
        "moat.yaml does not name it; it stays guarded until moat-c, which moat.yaml names, is "
        "there");
  }
  path_.add_interface("moat-c");
  const auto changes = ensure({"moat-c"});
  EXPECT_TRUE(changes.attached);
  EXPECT_EQ(changes.removed, std::vector<std::string>{"moat-a"});
  EXPECT_EQ(path_.interfaces["moat-a"].mode, AttachMode::none);
}

TEST_F(InterfacesTest, ATypingErrorThatIsMendedLeavesTheInterfaceGuarded) {
  ensure({"moat-a"});
  ensure({"moat-c"});
  EXPECT_TRUE(ensure({"moat-a"}).removed.empty());
  EXPECT_EQ(path_.interfaces["moat-a"].mode, AttachMode::native);
  EXPECT_EQ(interfaces_.status().size(), 1);
}

TEST_F(InterfacesTest, WhatCannotBeDetachedIsLogged) {
  ensure({"moat-a", "moat-b"});
  path_.failures["detach"] = "Device or resource busy";
  EXPECT_TRUE(ensure({"moat-b"}).removed.empty());
  EXPECT_NE(logged_.str().find("interface moat-a: Device or resource busy"), std::string::npos);
}

// Renamed, or guarded by an earlier daemon.
TEST_F(InterfacesTest, WhatWasNeverNamedStaysGuardedAndIsTold) {
  path_.interfaces["moat-b"].mode = AttachMode::native;
  path_.interfaces["moat-b"].program_id = FakePath::program_id;
  EXPECT_TRUE(ensure({"moat-a"}).removed.empty());
  ASSERT_EQ(interfaces_.status().size(), 2);
  EXPECT_EQ(interfaces_.status()[1].name, "moat-b");
  EXPECT_EQ(interfaces_.status()[1].reason,
            "moat.yaml does not name it; it stays guarded, as it was");
}

}  // namespace
}  // namespace moat
