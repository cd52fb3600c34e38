// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/xdp/arrivals.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <array>
#include <cstring>
#include <memory>
#include <span>

#include "bpf/sessions.h"
#include "dataplane/xdp/bpf_error.h"
#include "dataplane/xdp/load_failure.h"
#include "sessions.skel.h"

namespace moat {
namespace {

constexpr auto what = "read the interfaces by which sessions come in";

}  // namespace

Result<> Arrivals::load() {
  const LibbpfLog log;
  const std::unique_ptr<moat_sessions_bpf, void (*)(moat_sessions_bpf*)> skeleton(
      moat_sessions_bpf::open(), moat_sessions_bpf::destroy);
  if (!skeleton) return bpf_failure(what);
  if (const int error = moat_sessions_bpf::load(skeleton.get()); error != 0)
    return load_failure(what, error, log);
  iterator_ = Fd(
      bpf_link_create(bpf_program__fd(skeleton->progs.moat_arrivals), 0, BPF_TRACE_ITER, nullptr));
  if (!iterator_) return bpf_failure(what);
  return {};
}

Result<std::unordered_map<std::uint64_t, std::uint32_t>> Arrivals::read() {
  if (!iterator_) {
    if (auto loaded = load(); !loaded) return std::unexpected(loaded.error());
  }
  const Fd walk(bpf_iter_create(iterator_.get()));
  if (!walk) return bpf_failure(what);
  std::unordered_map<std::uint64_t, std::uint32_t> interfaces;
  // A read gives whole records.
  const auto records = std::make_unique<std::array<moat_arrival, 1024>>();
  for (;;) {
    const auto got = ::read(walk.get(), records->data(), sizeof *records);
    // EAGAIN: so many sockets that have nothing to tell that the kernel takes a breath.
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) return bpf_failure(what);
    if (got == 0) return interfaces;
    for (const auto& record :
         std::span(*records).first(static_cast<std::size_t>(got) / sizeof(moat_arrival))) {
      interfaces[record.cookie] = record.ifindex;
    }
  }
}

}  // namespace moat
