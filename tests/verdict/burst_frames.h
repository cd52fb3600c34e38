// SPDX-License-Identifier: BSD-2-Clause
// Frames in this process's memory as a burst, for dataplane/dpdk/burst.h.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "bpf/platform.h"

namespace moat::testing {

class BurstFrames {
 public:
  using Bytes = std::span<const std::uint8_t>;

  // Each frame's first buffer ends at `cut`, if the frame is longer than that. The frames must
  // outlive this.
  BurstFrames(const std::vector<Bytes>& frames, std::size_t cut, std::uint64_t time = 0)
      : now(time), cut_(cut) {
    for (const Bytes frame : frames) whole_.push_back({fetch, frame});
  }

  moat_frame operator[](unsigned number) const {
    const Bytes frame = whole_[number].frame;
    return {.data = frame.data(),
            .end = frame.data() + std::min(cut_, frame.size()),
            .length = static_cast<std::uint32_t>(frame.size()),
            .context = const_cast<Whole*>(&whole_[number]),
            .now = now};
  }

  const std::uint64_t now;

 private:
  struct Whole {
    moat_fetch_fn fetch;  // first: what moat_fetch() takes for its context
    Bytes frame;
  };

  static long fetch(void* context, __u32 offset, void* to, __u32 bytes) {
    const Bytes frame = static_cast<const Whole*>(context)->frame;
    if (std::size_t{offset} + bytes > frame.size()) return -1;
    std::memcpy(to, frame.data() + offset, bytes);
    return 0;
  }

  std::vector<Whole> whole_;
  std::size_t cut_;
};

}  // namespace moat::testing
