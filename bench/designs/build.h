// SPDX-License-Identifier: BSD-2-Clause
// Lays out the tables under comparison, all from the same ranges.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "dataplane/table/table.h"

namespace moat::bench {

using Ranges = std::vector<TableInput::Range>;
using Block = std::vector<std::byte>;

struct Design {
  std::string name;
  std::function<Block(const Ranges&)> build;  // nothing where the design is not made for so many
  std::uint32_t (*lookup)(const std::uint8_t* block, std::uint32_t limit, std::uint32_t source);
};

// The product's table and its contenders, by the names of their programs.
[[nodiscard]] const std::vector<Design>& designs();

}  // namespace moat::bench
