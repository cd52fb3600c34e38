// SPDX-License-Identifier: BSD-2-Clause
// The shared function on a frame in two buffers, in this process.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>

#include "bpf/verdict.h"
#include "dataplane/table/table.h"

namespace moat::testing {

// Bytes in an allocation of their exact size, so that a sanitizer sees a read past them; never at
// null, though there be none.
class Buffer {
 public:
  explicit Buffer(std::span<const std::uint8_t> bytes)
      : bytes_(new std::uint8_t[bytes.size()]), size_(bytes.size()) {
    std::copy(bytes.begin(), bytes.end(), bytes_.get());
  }
  [[nodiscard]] const std::uint8_t* begin() const { return bytes_.get(); }
  [[nodiscard]] const std::uint8_t* end() const { return bytes_.get() + size_; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  std::unique_ptr<std::uint8_t[]> bytes_;
  std::size_t size_;
};

struct ScatteredFrame {
  moat_fetch_fn fetch;  // first: what moat_fetch() takes for its context
  Buffer first, second;
};

inline long fetch_scattered(void* context, __u32 offset, void* to, __u32 bytes) {
  const auto& frame = *static_cast<const ScatteredFrame*>(context);
  if (std::size_t{offset} + bytes > frame.first.size() + frame.second.size()) return -1;
  auto* out = static_cast<std::uint8_t*>(to);
  for (std::size_t i = offset; i < std::size_t{offset} + bytes; i++)
    *out++ = i < frame.first.size() ? frame.first.begin()[i]
                                    : frame.second.begin()[i - frame.first.size()];
  return 0;
}

// The verdict on a frame whose first buffer ends at `cut`.
inline moat_verdict judge_scattered(const Table& table, std::span<const std::uint8_t> frame,
                                    std::size_t cut, std::uint64_t now = 0) {
  ScatteredFrame scattered{fetch_scattered, Buffer(frame.first(cut)), Buffer(frame.subspan(cut))};
  moat_frame view = {.data = scattered.first.begin(),
                     .end = scattered.first.end(),
                     .length = static_cast<__u32>(frame.size()),
                     .context = &scattered,
                     .now = now};
  moat_verdict verdict;
  moat_judge_frame(&table.header(), table.header().size, &view, &verdict);
  return verdict;
}

}  // namespace moat::testing
