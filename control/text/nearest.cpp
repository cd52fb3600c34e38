// SPDX-License-Identifier: BSD-2-Clause
#include "control/text/nearest.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <vector>

namespace moat {
namespace {

// Wagner and Fischer 1974, one row of the matrix at a time.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    auto diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const auto above = row[j + 1];
      row[j + 1] = std::min({above + 1, row[j] + 1, diagonal + (a[i] == b[j] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row.back();
}

constexpr std::size_t longest_name = 255;  // beyond, nobody mistyped a name

}  // namespace

std::string_view nearest(std::string_view name, std::span<const std::string_view> candidates) {
  std::string_view best;
  if (name.size() > longest_name) return best;
  auto limit = (name.size() + 2) / 3 + 1;
  for (const auto candidate : candidates) {
    const auto found = candidate.size() > longest_name ? limit : distance(name, candidate);
    if (found >= limit) continue;
    limit = found;
    best = candidate;
  }
  return best;
}

}  // namespace moat
