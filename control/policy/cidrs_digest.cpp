// SPDX-License-Identifier: BSD-2-Clause
#include "control/policy/cidrs_digest.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "control/text/fnv1a.h"

namespace moat {
namespace {

Prefixes distinct(Prefixes cidrs) {
  std::ranges::sort(cidrs);
  cidrs.erase(std::ranges::unique(cidrs).begin(), cidrs.end());
  return cidrs;
}

}  // namespace

std::string cidrs_digest(const Prefixes& cidrs) {
  Fnv1a hash;
  for (const auto& [address, length] : distinct(cidrs)) {
    for (const auto shift : {24, 16, 8, 0})
      hash.add(static_cast<std::uint8_t>(address.value >> shift));
    hash.add(length);
  }
  return fmt::format("{:016x}", hash.value());
}

}  // namespace moat
