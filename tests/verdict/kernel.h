// SPDX-License-Identifier: BSD-2-Clause
// The XDP program, loaded but attached to nothing: tests put tables in place and send it frames by
// BPF_PROG_TEST_RUN. Needs root.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "bpf/abi.h"
#include "dataplane/error.h"
#include "dataplane/table/table.h"

namespace moat::testing {

inline constexpr std::uint32_t kTierBytes[MOAT_TIERS] = {MOAT_TIER_SMALL, MOAT_TIER_MEDIUM,
                                                         MOAT_TIER_LARGE};

class Kernel {
 public:
  // The shortest and the longest frame that test runs take.
  static constexpr std::size_t kShortest = 14;
  static constexpr std::size_t kLongest = 70'000;

  // Loads the program and its maps. Fails without root, saying so.
  [[nodiscard]] static Result<std::unique_ptr<Kernel>> load();
  ~Kernel();

  // Has `table` live in tier 0, 1 or 2. Overwritten in place where the tier is occupied: that is
  // quick, and safe only because no packet is judged meanwhile.
  [[nodiscard]] Result<> place(unsigned tier, const Table& table);
  [[nodiscard]] Result<> vacate(unsigned tier);

  // Runs the program on a frame: true if it drops it. With `first_buffer` (at least kShortest) the
  // frame's first buffer ends there, and the rest comes in further ones.
  [[nodiscard]] Result<bool> drops(std::span<const std::uint8_t> frame,
                                   std::optional<std::uint32_t> first_buffer = {});

  // Whether this kernel lets a test run say where the first buffer ends (6.18 does).
  [[nodiscard]] bool splits_frames() const { return splits_frames_; }

  // One counter, or all of them, summed over the CPUs.
  [[nodiscard]] Result<moat_counter> counter(std::uint32_t slot) const;
  [[nodiscard]] Result<std::vector<moat_counter>> counters() const;

 private:
  struct Parts;
  explicit Kernel(std::unique_ptr<Parts> parts);
  [[nodiscard]] Result<> occupy(unsigned tier);

  std::unique_ptr<Parts> parts_;
  bool splits_frames_ = false;
};

}  // namespace moat::testing
