// SPDX-License-Identifier: BSD-2-Clause
// What an lcore judges by: an image, and the index of it by which bursts are looked up.
#pragma once

#include "dataplane/dpdk/lines.h"
#include "dataplane/table/table.h"

namespace moat {

struct LiveTable {
  Image image;
  Lines lines;

  // Copies the image, which must have passed check_image(), into memory of that kind.
  [[nodiscard]] static Result<LiveTable> make(const Image& image,
                                              const Allocate& allocate = allocate_lines);
};

}  // namespace moat
