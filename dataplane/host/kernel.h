// SPDX-License-Identifier: BSD-2-Clause
// What kernel this is, as far as Moat asks something of it.
#pragma once

#include <string>

namespace moat {

struct KernelFacts {
  std::string release;     // "6.1.0-56-amd64"
  std::string lockdown;    // "integrity", "confidentiality"; empty: none, or nobody says
  bool has_btf = true;     // describes its own types: /sys/kernel/btf/vmlinux
  bool has_bpf_fs = true;  // a bpf filesystem is mounted on /sys/fs/bpf
};

[[nodiscard]] KernelFacts read_kernel_facts();

// Whether this release is one before major.minor. No release at all is not.
[[nodiscard]] bool is_older(const std::string& release, unsigned major, unsigned minor);

}  // namespace moat
