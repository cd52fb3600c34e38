// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/host/kernel.h"

#include <linux/magic.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <utility>

namespace moat {
namespace {

// The chosen one is in brackets: "none [integrity] confidentiality".
std::string read_lockdown() {
  std::ifstream file("/sys/kernel/security/lockdown");
  std::string word;
  while (file >> word)
    if (word.front() == '[') return word == "[none]" ? "" : word.substr(1, word.size() - 2);
  return {};
}

}  // namespace

KernelFacts read_kernel_facts() {
  utsname about = {};
  ::uname(&about);
  struct statfs pins = {};
  const bool has_pins = ::statfs("/sys/fs/bpf", &pins) == 0 && pins.f_type == BPF_FS_MAGIC;
  return {static_cast<const char*>(about.release), read_lockdown(),
          ::access("/sys/kernel/btf/vmlinux", F_OK) == 0, has_pins};
}

bool is_older(const std::string& release, unsigned major, unsigned minor) {
  unsigned this_major = 0;
  unsigned this_minor = 0;
  if (std::sscanf(release.c_str(), "%u.%u", &this_major, &this_minor) != 2) return false;
  return std::pair(this_major, this_minor) < std::pair(major, minor);
}

}  // namespace moat
