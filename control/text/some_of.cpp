// SPDX-License-Identifier: BSD-2-Clause
#include "control/text/some_of.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <span>

namespace moat {

std::string some_of(const std::vector<std::string>& names, std::size_t most,
                    std::string_view between) {
  if (names.size() <= most) return fmt::format("{}", fmt::join(names, between));
  return fmt::format("{} and {} more", fmt::join(std::span(names).first(most), between),
                     names.size() - most);
}

}  // namespace moat
