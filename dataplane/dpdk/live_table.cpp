// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/dpdk/live_table.h"

#include <cstring>

namespace moat {

Result<LiveTable> LiveTable::make(const Image& image, const Allocate& allocate) {
  const std::size_t size = image.header().size;
  std::shared_ptr<std::byte> copy = allocate(size);
  if (!copy) return std::unexpected(Error{"no memory for a table", "give it more hugepages"});
  std::memcpy(copy.get(), image.bytes().data(), size);
  Image image_copy(copy, size);
  auto lines = Lines::build(image_copy.header(), allocate);
  if (!lines) return std::unexpected(lines.error());
  return LiveTable{.image = std::move(image_copy), .lines = std::move(*lines)};
}

}  // namespace moat
