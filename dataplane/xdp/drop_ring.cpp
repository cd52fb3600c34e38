// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/xdp/drop_ring.h"

#include <bpf/libbpf.h>

#include <cstring>

#include "dataplane/xdp/bpf_error.h"

namespace moat {
namespace {

constexpr std::size_t max_at_once = MOAT_DROP_RING / sizeof(moat_drop);

}  // namespace

struct DropRing::Reading {
  const std::function<void(const moat_drop&)>* callback = nullptr;
  std::size_t left = 0;
};

void DropRing::Free::operator()(ring_buffer* ring) const { ring_buffer__free(ring); }

DropRing::DropRing() = default;
DropRing::DropRing(DropRing&&) noexcept = default;
DropRing& DropRing::operator=(DropRing&&) noexcept = default;
DropRing::~DropRing() = default;

int DropRing::on_event(void* context, void* bytes, std::size_t size) {
  auto& reading = *static_cast<Reading*>(context);
  moat_drop event = {};
  // What a program of another version put there before it was replaced is passed over.
  if (size == sizeof event) {
    std::memcpy(&event, bytes, sizeof event);
    (*reading.callback)(event);
  }
  return --reading.left == 0 ? -1 : 0;  // this event is done with either way
}

Result<DropRing> DropRing::open(int map) {
  const LibbpfLog log;
  DropRing ring;
  ring.reading_ = std::make_unique<Reading>();
  ring.ring_.reset(ring_buffer__new(map, on_event, ring.reading_.get(), nullptr));
  if (!ring.ring_) return bpf_failure("open the ring buffer of drops");
  return ring;
}

int DropRing::fd() const { return ring_buffer__epoll_fd(ring_.get()); }

void DropRing::read(const std::function<void(const moat_drop&)>& callback) {
  *reading_ = {&callback, max_at_once};
  (void)ring_buffer__consume(ring_.get());  // fails only when on_event() ends it
}

}  // namespace moat
