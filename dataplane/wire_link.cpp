// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/wire_link.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <memory>

#include "dataplane/bpf_error.h"
#include "dataplane/load_failure.h"
#include "wire.skel.h"

namespace moat {
namespace {

constexpr std::array pins = {"wire-link-ipv4", "wire-link-ipv6"};
// On arm64 from Linux 6.4 on.
constexpr KernelNeed need = {6, 1, "FUNCTION_TRACER"};

}  // namespace

Result<> WireLink::ensure(int wires) {
  if (links_[0] && links_[1]) return {};
  const LibbpfLog log;
  const std::unique_ptr<moat_wire_bpf, void (*)(moat_wire_bpf*)> skeleton(moat_wire_bpf::open(),
                                                                          moat_wire_bpf::destroy);
  if (!skeleton) return bpf_failure("open the program that notes what NAT changes");
  if (const int error = bpf_map__reuse_fd(skeleton->maps.wires, wires); error != 0)
    return bpf_failure("use map wires", error);
  if (const int error = moat_wire_bpf::load(skeleton.get()); error != 0)
    return load_failure("load the program that notes what NAT changes", error, log, need);
  const std::array programs = {skeleton->progs.moat_wire_ipv4, skeleton->progs.moat_wire_ipv6};
  for (std::size_t i = 0; i < links_.size(); i++) {
    links_[i] = Fd(bpf_raw_tracepoint_open(nullptr, bpf_program__fd(programs[i])));
    if (!links_[i])
      return load_failure("attach the program that notes what NAT changes", errno, log, need);
  }
  return {};
}

Result<> WireLink::ensure_pins() {
  return pins_.ensure({{pins[0], links_[0].get()}, {pins[1], links_[1].get()}});
}

void WireLink::remove() {
  for (std::size_t i = 0; i < links_.size(); i++) {
    pins_.remove(pins[i]);
    links_[i] = Fd();
  }
}

}  // namespace moat
