// SPDX-License-Identifier: BSD-2-Clause
#include "control/files/kernel_checks.h"

#include <fmt/format.h>

namespace moat {

std::vector<KernelLimit> find_kernel_limits(const KernelFacts& kernel) {
  std::vector<KernelLimit> limits;
  if (is_older(kernel.release, 6, 1)) {
    limits.push_back(
        {true,
         fmt::format("this is Linux {}, and NOTHING can be guarded before 6.1", kernel.release),
         "boot a newer kernel"});
    return limits;
  }
  if (!kernel.has_btf) {
    limits.push_back({true,
                      "this kernel does not describe its types (no /sys/kernel/btf/vmlinux), and "
                      "without NOTHING can be guarded",
                      "boot one with CONFIG_DEBUG_INFO_BTF, such as your distribution's own"});
  }
  if (!kernel.has_bpf_fs) {
    limits.push_back({false,
                      "no bpf filesystem is mounted on /sys/fs/bpf: the guard ends when moatd does",
                      "mount -t bpf -o mode=700 bpf /sys/fs/bpf"});
  }
  if (kernel.lockdown == "confidentiality") {
    limits.push_back({false,
                      "the kernel is in lockdown (confidentiality): packets are judged as NAT left "
                      "them, what is led to lo passes, and trusted-interfaces go by number alone",
                      "boot with lockdown=integrity"});
  }
  if (is_older(kernel.release, 6, 4)) {
    limits.push_back(
        {false,
         fmt::format("this is Linux {}: before 6.4 a packet that no socket receives is "
                     "judged on the NICs in `interfaces` alone, so by other ways a "
                     "guarded port on which nothing listens answers",
                     kernel.release),
         "name every NIC in `interfaces`"});
  }
  return limits;
}

}  // namespace moat
