// SPDX-License-Identifier: BSD-2-Clause
#include "tests/e2e/frames/unpack.h"

#include <bpf/libbpf.h>
#include <net/if.h>

#include <cerrno>
#include <cstring>

#include "unpack.skel.h"

namespace moat::testing {

struct Unpacker::Parts {
  moat_unpack_bpf* skeleton = nullptr;
  bpf_tc_hook hook = {.sz = sizeof(bpf_tc_hook), .attach_point = BPF_TC_INGRESS};
  Parts() = default;
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;
  ~Parts() {
    if (hook.ifindex > 0) {
      hook.attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS);
      bpf_tc_hook_destroy(&hook);  // with what is attached to it
    }
    moat_unpack_bpf__destroy(skeleton);
  }
};

Result<Unpacker> Unpacker::attach(const std::string& interface) {
  auto parts = std::make_unique<Parts>();
  parts->skeleton = moat_unpack_bpf__open_and_load();
  if (parts->skeleton) {
    bpf_tc_opts options = {.sz = sizeof(bpf_tc_opts),
                           .prog_fd = bpf_program__fd(parts->skeleton->progs.moat_unpack)};
    parts->hook.ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
    if (bpf_tc_hook_create(&parts->hook) == 0 && bpf_tc_attach(&parts->hook, &options) == 0)
      return Unpacker(std::move(parts));
  }
  return std::unexpected(
      Error{"unpacking on " + interface + ": " + std::strerror(errno), "run this as root"});
}

Unpacker::Unpacker(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Unpacker::Unpacker(Unpacker&&) noexcept = default;
Unpacker::~Unpacker() = default;

}  // namespace moat::testing
