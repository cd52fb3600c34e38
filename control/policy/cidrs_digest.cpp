// SPDX-License-Identifier: BSD-2-Clause
#include "control/policy/cidrs_digest.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace moat {
namespace {

Prefixes distinct(Prefixes cidrs) {
  std::ranges::sort(cidrs);
  cidrs.erase(std::ranges::unique(cidrs).begin(), cidrs.end());
  return cidrs;
}

}  // namespace

std::string cidrs_digest(const Prefixes& cidrs) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const auto& [address, length] : distinct(cidrs)) {
    const std::array<std::uint32_t, 5> bytes{address >> 24, address >> 16 & 0xff,
                                             address >> 8 & 0xff, address & 0xff, length};
    for (const auto byte : bytes) hash = (hash ^ byte) * 0x100000001b3;
  }
  return fmt::format("{:016x}", hash);
}

}  // namespace moat
