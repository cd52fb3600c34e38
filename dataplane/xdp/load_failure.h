// SPDX-License-Identifier: BSD-2-Clause
// Why the kernel does not load or attach a program, and what helps: a capability, another kernel,
// or a word to Moat's makers.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "dataplane/error.h"
#include "dataplane/xdp/bpf_error.h"

namespace moat {

// What a program asks of the kernel.
struct KernelNeed {
  unsigned major = 6;
  unsigned minor = 1;
  const char* option = "BPF_SYSCALL";  // of its configuration, without CONFIG_
};

// What there is to judge by. `this_host` is the one that this process runs on.
struct LoadFacts {
  int error = 0;
  bool has_verifier_log = false;
  std::vector<std::string> missing_capabilities;
  std::string release;   // as `uname -r` has it
  std::string lockdown;  // "integrity", "confidentiality"; empty: none, or nobody says

  [[nodiscard]] static LoadFacts this_host(int error, bool has_verifier_log);
};

[[nodiscard]] std::string load_remedy(const LoadFacts& facts, const KernelNeed& need);

// "WHAT: words of the errno: what the verifier said".
[[nodiscard]] std::unexpected<Error> load_failure(const std::string& what, int error,
                                                  const LibbpfLog& log,
                                                  const KernelNeed& need = {});

}  // namespace moat
