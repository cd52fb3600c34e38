// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/xdp/load_failure.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

namespace moat {
namespace {

struct Case {
  const char* name;
  LoadFacts facts;
  KernelNeed need;
  const char* remedy;
};

const KernelNeed netfilter = {6, 4, "NETFILTER_BPF_LINK"};

class LoadRemedy : public testing::TestWithParam<Case> {};

TEST_P(LoadRemedy, names_what_helps) {
  const auto& [name, facts, need, remedy] = GetParam();
  EXPECT_EQ(load_remedy(facts, need), remedy);
}

INSTANTIATE_TEST_SUITE_P(
    All, LoadRemedy,
    testing::Values(
        Case{"OneCapability",
             {EPERM, false, {"CAP_BPF"}, "6.12.1", ""},
             {},
             "moatd lacks CAP_BPF: start it as root, with that in CapabilityBoundingSet="},
        Case{"CapabilityThatTheVerifierDoesNotName",
             {EACCES, true, {"CAP_PERFMON"}, "6.12.1", "confidentiality"},
             {},
             "moatd lacks CAP_PERFMON: start it as root, with that in CapabilityBoundingSet="},
        Case{"Verifier",
             {EACCES, true, {}, "6.12.117+deb13-cloud-amd64", ""},
             {},
             "the verifier of Linux 6.12.117+deb13-cloud-amd64 refuses what others accept: report "
             "it, with this message, to Moat's makers; another kernel may take it"},
        Case{"OldKernel",
             {EINVAL, false, {}, "6.1.0-56", ""},
             netfilter,
             "Linux 6.4 and later have it; this is 6.1.0-56"},
        Case{"NewKernelWithoutTheOption",
             {EINVAL, false, {}, "6.4.0", ""},
             netfilter,
             "this kernel, 6.4.0, seems to be built without CONFIG_NETFILTER_BPF_LINK"},
        Case{"Lockdown",
             {EINVAL, true, {}, "6.18.1", "confidentiality"},
             netfilter,
             "the kernel is in lockdown (/sys/kernel/security/lockdown: confidentiality) and lets "
             "no program read its memory; boot with lockdown=integrity"},
        Case{"LockdownThatForbidsNothingHere",
             {EINVAL, true, {}, "6.18.1", "integrity"},
             netfilter,
             "the verifier of Linux 6.18.1 refuses what others accept: report it, with this "
             "message, to Moat's makers; another kernel may take it"},
        Case{"Memory",
             {ENOMEM, false, {}, "6.1.0", ""},
             netfilter,
             "free memory, or raise the memory limit of the service"},
        Case{"PlaceThatIsTaken", {EBUSY, false, {}, "6.18.1", ""}, netfilter, ""}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(LibbpfLog, tells_what_the_verifier_said_and_no_guesses_of_libbpfs) {
  EXPECT_EQ(LibbpfLog().verifier_lines(), "");
}

}  // namespace
}  // namespace moat
