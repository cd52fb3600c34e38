// SPDX-License-Identifier: BSD-2-Clause
// Managed ranges that overlap in every way there is: of `count` ranges, 2^count sets. Each address
// of a small network is in those of the ranges that the bits of its number say.
#pragma once

#include <string>

#include "control/policy/prefix.h"

namespace moat::overlaps {

inline std::string range_id(unsigned number) { return "mr-" + std::to_string(number); }

// More than one table can tell apart.
inline constexpr unsigned too_many = 16;

// A file of managed ranges, of addresses from `base` on.
inline std::string overlapping_ranges(unsigned count, std::uint32_t base = 0x14000000) {
  std::string text;
  for (unsigned bit = 0; bit < count; bit++) {
    text += "- id: " + range_id(bit) + "\n  cidrs: [";
    for (std::uint32_t block = 1; block < 1u << (count - bit); block += 2) {
      const Prefix cidr{Address(base | block << bit), static_cast<std::uint8_t>(32 - bit)};
      text += (block == 1 ? "" : ", ") + format_prefix(cidr);
    }
    text += "]\n";
  }
  return text;
}

inline std::string apart_ranges(unsigned count) {
  std::string text;
  for (unsigned i = 0; i < count; i++)
    text += "- id: " + range_id(i) + "\n  cidrs: [192.0.2." + std::to_string(i) + "/32]\n";
  return text;
}

// The file of a database that lets in one of them.
inline std::string database_of_range(unsigned number) {
  const auto n = std::to_string(number);
  return "database: d" + n + "\nendpoint: {port: " + std::to_string(6000 + number) +
         "}\nrules:\n  - managed-range: " + range_id(number) + "\n";
}

}  // namespace moat::overlaps
