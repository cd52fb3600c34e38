// SPDX-License-Identifier: BSD-2-Clause
#include "control/os/run_program.h"

#include <gtest/gtest.h>

namespace moat {
namespace {

using namespace std::chrono_literals;

constexpr auto patience = 60s;

TEST(RunProgram, GivesWhatItSays) {
  const auto said = run_program("sh", {"-c", "echo \"$PATH $LC_ALL\"; echo ignored >&2"}, patience);
  ASSERT_TRUE(said) << said.error().message;
  EXPECT_EQ(*said, "/usr/sbin:/sbin:/usr/bin:/bin C\n");
}

TEST(RunProgram, ReadsMoreThanAPipeHolds) {
  const auto said = run_program("sh", {"-c", "seq 100000; seq 100000 >&2"}, patience);
  ASSERT_TRUE(said) << said.error().message;
  EXPECT_TRUE(said->ends_with("\n100000\n"));
}

TEST(RunProgram, HandsOverItsInput) {
  const std::string input(300'000, 'x');
  const auto said = run_program("wc", {"-c"}, patience, input);
  ASSERT_TRUE(said) << said.error().message;
  EXPECT_EQ(*said, "300000\n");
  EXPECT_EQ(run_program("wc", {"-c"}, patience).value_or("?"), "0\n");
}

TEST(RunProgram, SaysWhyNot) {
  const auto failed =
      run_program("sh", {"-c", "echo first >&2; echo second >&2; exit 3"}, patience);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message, "sh: it failed: first");
  const auto gone = run_program("no-such-program", {}, patience);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().message, "no-such-program: it is not installed");
  const auto killed = run_program("sh", {"-c", "kill -9 $$"}, patience);
  EXPECT_FALSE(killed);
}

TEST(RunProgram, EndsOneThatTakesTooLong) {
  const auto said = run_program("sleep", {"3600"}, 10ms);
  ASSERT_FALSE(said);
  EXPECT_EQ(said.error().message, "sleep: it took too long, or said too much");
}

}  // namespace
}  // namespace moat
