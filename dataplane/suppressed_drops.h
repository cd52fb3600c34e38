// SPDX-License-Identifier: BSD-2-Clause
// Drops of loud sources that no event has told of yet: the next one of the same source on the same
// CPU would.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <utility>

#include "bpf/abi.h"

namespace moat {

class SuppressedDrops {
 public:
  // Of one CPU's account at that place.
  void add(std::uint32_t place, const moat_source_allowance& account);

  // `source` as in moat_drop, `slot` the outcome that its drops are counted for.
  [[nodiscard]] std::uint64_t packets(const std::array<std::uint8_t, 16>& source,
                                      std::uint32_t slot) const;

 private:
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint64_t> packets_;  // by place and mark
};

}  // namespace moat
