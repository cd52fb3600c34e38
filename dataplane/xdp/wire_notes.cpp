// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/xdp/wire_notes.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cstdint>
#include <memory>

#include "bpf/abi.h"
#include "dataplane/xdp/bpf_error.h"
#include "dataplane/xdp/load_failure.h"
#include "wire.skel.h"

namespace moat {
namespace {

constexpr auto map_pin = "wires";
constexpr std::array link_pins = {"wire-link-ipv4", "wire-link-ipv6"};
constexpr KernelNeed tracer_need = {6, 1, "FUNCTION_TRACER"};

bool is_of_this_shape(const Fd& map) {
  bpf_map_info info = {};
  __u32 bytes = sizeof info;
  return map && bpf_obj_get_info_by_fd(map.get(), &info, &bytes) == 0 &&
         info.type == BPF_MAP_TYPE_PERCPU_ARRAY && info.value_size == sizeof(moat_wire);
}

}  // namespace

Result<> WireNotes::ensure() {
  if (map_) return {};
  map_ = pins_.get(map_pin);
  if (is_of_this_shape(map_)) return {};
  map_ = Fd(bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, map_pin, sizeof(std::uint32_t),
                           sizeof(moat_wire), 1, nullptr));
  if (!map_) return bpf_failure("make the backstop's map of notes");
  return {};
}

Result<> WireNotes::ensure_program() {
  if (links_[0] && links_[1]) return {};
  const LibbpfLog log;
  const std::unique_ptr<moat_wire_bpf, void (*)(moat_wire_bpf*)> skeleton(moat_wire_bpf::open(),
                                                                          moat_wire_bpf::destroy);
  if (!skeleton) return bpf_failure("open the program that notes what NAT changes");
  if (const int error = bpf_map__reuse_fd(skeleton->maps.wires, map_.get()); error != 0)
    return bpf_failure("use map wires", error);
  if (const int error = moat_wire_bpf::load(skeleton.get()); error != 0)
    return load_failure("load the program that notes what NAT changes", error, log, tracer_need);
  const std::array programs = {skeleton->progs.moat_wire_ipv4, skeleton->progs.moat_wire_ipv6};
  for (std::size_t i = 0; i < links_.size(); i++) {
    links_[i] = Fd(bpf_raw_tracepoint_open(nullptr, bpf_program__fd(programs[i])));
    if (!links_[i])
      return load_failure("attach the program that notes what NAT changes", errno, log,
                          tracer_need);
  }
  return {};
}

void WireNotes::remove_program() {
  for (std::size_t i = 0; i < links_.size(); i++) {
    pins_.remove(link_pins[i]);
    links_[i] = Fd();
  }
}

Result<> WireNotes::ensure_pins() {
  return pins_.ensure(
      {{map_pin, map_.get()}, {link_pins[0], links_[0].get()}, {link_pins[1], links_[1].get()}});
}

void WireNotes::remove() {
  remove_program();
  pins_.remove(map_pin);
  map_ = Fd();
}

}  // namespace moat
