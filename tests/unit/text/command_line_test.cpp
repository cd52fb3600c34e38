// SPDX-License-Identifier: BSD-2-Clause
#include "control/text/command_line.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace moat {
namespace {

class CommandLineTest : public ::testing::Test {
 protected:
  CommandLineTest() {
    line_.require("COUNT", count_, "how many");
    line_.add("--name", name_, "of the thing");
    line_.add("--eal", eal_);
    line_.add_list("--sizes", sizes_);
    line_.add_flag("--quick", is_quick_);
    line_.set_version("thing 1.2");
  }

  std::optional<int> parse(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "thing");
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    const auto done = line_.parse(static_cast<int>(arguments.size()), arguments.data());
    out_ = ::testing::internal::GetCapturedStdout();
    err_ = ::testing::internal::GetCapturedStderr();
    return done;
  }

  CommandLine line_{"Does the thing."};
  std::uint64_t count_ = 0;
  std::string name_ = "bench", out_, err_;
  std::vector<std::string> eal_;
  std::vector<std::uint64_t> sizes_ = {1};
  bool is_quick_ = false;
};

TEST_F(CommandLineTest, PutsValuesWhereTheyBelongAndLeavesTheOthers) {
  EXPECT_EQ(parse({"7", "--sizes", "30,1000", "--eal", "a,b", "--eal", "c", "--quick"}),
            std::nullopt);
  EXPECT_EQ(count_, 7u);
  EXPECT_EQ(name_, "bench");
  EXPECT_EQ(sizes_, (std::vector<std::uint64_t>{30, 1000}));
  EXPECT_EQ(eal_, (std::vector<std::string>{"a,b", "c"}));
  EXPECT_TRUE(is_quick_);
}

TEST_F(CommandLineTest, RefusesWhatIsWrongWithTwoAndSaysWhat) {
  EXPECT_EQ(parse({}), 2);
  EXPECT_NE(err_.find("COUNT"), std::string::npos) << err_;
  EXPECT_EQ(parse({"seven"}), 2);
  EXPECT_NE(err_.find("seven"), std::string::npos) << err_;
  EXPECT_EQ(parse({"7", "--nmae", "x"}), 2);
  EXPECT_NE(err_.find("--nmae"), std::string::npos) << err_;
}

TEST_F(CommandLineTest, HelpTellsTheDefaultsAndEndsWithZero) {
  EXPECT_EQ(parse({"--help"}), 0);
  EXPECT_NE(out_.find("Does the thing."), std::string::npos) << out_;
  EXPECT_NE(out_.find("bench"), std::string::npos) << out_;
  EXPECT_EQ(parse({"--version"}), 0);
  EXPECT_EQ(out_, "thing 1.2\n");
}

}  // namespace
}  // namespace moat
