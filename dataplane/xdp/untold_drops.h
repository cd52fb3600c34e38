// SPDX-License-Identifier: BSD-2-Clause
// Drops of loud sources that no event has told of yet: the next one of the same source on the same
// CPU would.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <utility>

#include "bpf/abi.h"
#include "dataplane/error.h"

namespace moat {

class UntoldDrops {
 public:
  // Of one CPU's account at that place.
  void add(std::uint32_t place, const moat_source_allowance& account);

  // `source` as in moat_drop, `slot` the outcome that its drops are counted for.
  [[nodiscard]] std::uint64_t packets(const std::array<std::uint8_t, 16>& source,
                                      std::uint32_t slot) const;

 private:
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint64_t> packets_;  // by place and mark
};

// `map` is drop_sources of bpf/drop_events.h.
[[nodiscard]] Result<UntoldDrops> read_untold_drops(int map);

// For a new reader, to whom what came before it is not to be told as if it came now.
[[nodiscard]] Result<> forget_untold_drops(int map);

}  // namespace moat
