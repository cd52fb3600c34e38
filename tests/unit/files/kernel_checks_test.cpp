// SPDX-License-Identifier: BSD-2-Clause
#include "control/files/kernel_checks.h"

#include <gtest/gtest.h>

namespace moat {
namespace {

// As one text, a line each: "! message (remedy)" where nothing would be guarded.
std::string limits_of(const KernelFacts& kernel) {
  std::string lines;
  for (const auto& [is_fatal, message, remedy] : find_kernel_limits(kernel))
    lines += (is_fatal ? "! " : "") + message + " (" + remedy + ")\n";
  return lines;
}

TEST(KernelChecks, AreContentWithACurrentKernel) {
  EXPECT_EQ(limits_of({"6.12.117+deb12-cloud-amd64", "", true, true}), "");
  EXPECT_EQ(limits_of({"7.0", "integrity", true, true}), "");
}

TEST(KernelChecks, TellOfAKernelThatIsTooOldAndNothingElse) {
  EXPECT_EQ(limits_of({"5.10.0-34-amd64", "confidentiality", false, false}),
            "! this is Linux 5.10.0-34-amd64, and NOTHING can be guarded before 6.1 (boot a newer "
            "kernel)\n");
}

TEST(KernelChecks, TellWhatIsNotJudgedBefore64) {
  const auto said = limits_of({"6.1.0-56-amd64", "", true, true});
  EXPECT_EQ(said.find("this is Linux 6.1.0-56-amd64: before 6.4 a packet that no socket receives"),
            0u)
      << said;
}

TEST(KernelChecks, TellOfMissingTypes) {
  const auto said = limits_of({"6.12.0", "", false, true});
  EXPECT_EQ(said.find("! this kernel does not describe its types"), 0u) << said;
}

TEST(KernelChecks, TellThatNothingCanBePinned) {
  EXPECT_EQ(limits_of({"6.12.0", "", true, false}),
            "no bpf filesystem is mounted on /sys/fs/bpf: the guard ends when moatd does (mount -t "
            "bpf -o mode=700 bpf /sys/fs/bpf)\n");
}

TEST(KernelChecks, TellWhatLockdownTakes) {
  const auto said = limits_of({"6.12.0", "confidentiality", true, true});
  EXPECT_EQ(
      said.find("the kernel is in lockdown (confidentiality): packets are judged as NAT left"), 0u)
      << said;
}

TEST(KernelChecks, ReadThisKernel) {
  const auto kernel = read_kernel_facts();
  EXPECT_FALSE(kernel.release.empty());
  EXPECT_FALSE(is_older(kernel.release, 3, 0));
}

}  // namespace
}  // namespace moat
