// SPDX-License-Identifier: BSD-2-Clause
// The size tiers: one outer map of one slot for each, and the one write that commits a table.
//
//   small   [ ]       The packet path takes the first occupied slot, from the smallest.
//   medium  [ id 41 ]  <- live
//   large   [ ]       So a bigger table is written while nobody looks there, and deleting the
//                     smaller one is what makes it live.
//
// The kernel returns from a write or a deletion in an outer map only when no program that might
// have seen the slot before it is still running. That is what makes "enforced" true, and takes some
// 20 ms, so a commit does no more than two of them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "bpf/abi.h"
#include "dataplane/error.h"

namespace moat {

// By tier: file descriptors of maps, or ids of maps with 0 for none.
using TierFds = std::array<int, MOAT_TIERS>;
using TierIds = std::array<std::uint32_t, MOAT_TIERS>;

inline constexpr std::array<std::uint32_t, MOAT_TIERS> tier_bytes = {
    MOAT_TIER_SMALL, MOAT_TIER_MEDIUM, MOAT_TIER_LARGE};

class Tiers {
 public:
  Tiers() = default;
  // Who made the outer maps keeps them open.
  explicit Tiers(const TierFds& outers) : outers_(outers) {}

  // The smallest that holds so many bytes.
  [[nodiscard]] static std::optional<std::size_t> smallest_for(std::size_t bytes);

  // The tier that the packet path takes.
  [[nodiscard]] static std::optional<std::size_t> live_of(const TierIds& ids);

  [[nodiscard]] Result<TierIds> occupants() const;

  // Makes the inner map the live one. On an error what was live still is.
  [[nodiscard]] Result<> commit(std::size_t tier, int inner) const;

  // Empties the slots above the live one: what a crash in the middle of a commit left there.
  [[nodiscard]] Result<> clear_above_live() const;

  // Returns when every program that ran at the time of the call has ended.
  [[nodiscard]] Result<> wait_for_programs(std::size_t tier, int inner) const;

 private:
  TierFds outers_ = {-1, -1, -1};
};

}  // namespace moat
