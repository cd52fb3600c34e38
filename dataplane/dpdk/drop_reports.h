// SPDX-License-Identifier: BSD-2-Clause
// Which drops an lcore reports: the same events at the same bounded rate as the XDP program's, by
// the allowances that bpf/drop_events.h explains.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

#include "bpf/verdict.h"

namespace moat {

// A jiffy of a kernel with 250 of them a second.
inline constexpr std::uint64_t ticks_per_second = 250;

// The tick up to which events of a kind were granted, by outcome slot; all lcores share it. Two
// that write at once report one event more.
using KindGrants = std::array<std::atomic<std::uint64_t>, MOAT_KINDS>;

class DropReports {
 public:
  // `sources`: this lcore's MOAT_SOURCES allowances. `ifindex` is what its events name.
  DropReports(KindGrants& kinds, std::span<moat_source_allowance> sources, std::uint32_t ifindex)
      : kinds_(kinds), sources_(sources), ifindex_(ifindex) {}

  // Whether the kind has allowance left at this tick; quick, for a crowd. Of a slot that is no
  // outcome's it says something or other: that no branch is taken by it is what makes it quick.
  [[nodiscard]] bool has_allowance(std::uint32_t slot, std::uint64_t tick) const {
    const std::uint32_t kind = std::min(slot - MOAT_RULE_SLOTS, std::uint32_t{MOAT_KINDS - 1});
    return kinds_[kind].load(std::memory_order_relaxed) <= tick + MOAT_KIND_BURST;
  }

  // The event of a drop whose kind has allowance; nothing where its source has none.
  [[nodiscard]] std::optional<moat_drop> report(const moat_frame& frame,
                                                const moat_verdict& verdict, std::uint64_t tick);

 private:
  KindGrants& kinds_;
  std::span<moat_source_allowance> sources_;
  std::uint32_t ifindex_;
};

}  // namespace moat
