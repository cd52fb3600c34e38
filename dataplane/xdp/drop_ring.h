// SPDX-License-Identifier: BSD-2-Clause
// The events that the packet path tells drops by (see bpf/drop_events.h), read from their ring
// buffer.
#pragma once

#include <functional>
#include <memory>

#include "bpf/abi.h"
#include "dataplane/backend.h"
#include "dataplane/error.h"

struct ring_buffer;

namespace moat {

class DropRing final : public DropSource {
 public:
  // `map` is the ring buffer. It must stay open for as long as somebody waits on fd().
  [[nodiscard]] static Result<DropRing> open(int map);

  DropRing(DropRing&&) noexcept;
  DropRing& operator=(DropRing&&) noexcept;
  DropRing(const DropRing&) = delete;
  DropRing& operator=(const DropRing&) = delete;
  ~DropRing() override;

  [[nodiscard]] int fd() const override;
  void read(const std::function<void(const moat_drop&)>& callback) override;

 private:
  struct Reading;
  struct Free {
    void operator()(ring_buffer* ring) const;
  };
  DropRing();
  static int on_event(void* reading, void* bytes, std::size_t size);

  std::unique_ptr<Reading> reading_;  // has a fixed address: the ring keeps it
  std::unique_ptr<ring_buffer, Free> ring_;
};

}  // namespace moat
