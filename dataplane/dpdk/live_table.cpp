// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/dpdk/live_table.h"

#include <cstring>

namespace moat {

Result<LiveTable> LiveTable::make(const Table& table, const Allocate& allocate) {
  const std::size_t size = table.header().size;
  std::shared_ptr<std::byte> copy = allocate(size);
  if (!copy) return std::unexpected(Error{"no memory for a table", "give it more hugepages"});
  std::memcpy(copy.get(), table.bytes().data(), size);
  Table own(copy, size);
  auto lines = Lines::build(own.header(), allocate);
  if (!lines) return std::unexpected(lines.error());
  return LiveTable{.table = std::move(own), .lines = std::move(*lines)};
}

}  // namespace moat
