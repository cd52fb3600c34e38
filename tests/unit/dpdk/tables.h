// SPDX-License-Identifier: BSD-2-Clause
// Tables and frames for the tests of the fast path.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "dataplane/table/table.h"

namespace moat {

// Port 5432 on every address; listed are the /8s that the ranges begin.
inline Table table_for(const std::vector<TableInput::Range>& listed, std::uint64_t generation = 1) {
  TableInput input;
  input.generation = generation;
  input.databases.push_back({.owner = 1, .address = {}, .ports = {5432}});
  input.classes = {0, 7};
  input.ranges = {{0, 0}};
  for (const auto& range : listed) {
    input.ranges.push_back(range);
    input.ranges.push_back({range.first + (1u << 24), 0});
  }
  return build_table(input).value();
}

// A SYN to port 5432 of 192.0.2.1.
inline std::array<std::uint8_t, 54> syn_from(std::uint32_t source) {
  std::array<std::uint8_t, 54> frame = {0, 0,    0, 0, 0,  0, 0, 0, 0, 0,  0, 0, 8,
                                        0, 0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0};
  for (unsigned i = 0; i < 4; i++)
    frame[26 + i] = static_cast<std::uint8_t>(source >> (24 - i * 8));
  constexpr std::array<std::uint8_t, 18> rest = {192, 0, 2, 1, 0x30, 0x39, 0x15, 0x38, 0,
                                                 0,   0, 0, 0, 0,    0,    0,    0x50, 2};
  std::ranges::copy(rest, frame.begin() + 30);
  return frame;
}

}  // namespace moat
