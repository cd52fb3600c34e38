// SPDX-License-Identifier: BSD-2-Clause
// What an lcore judges by: a table, and the index of it by which bursts are looked up.
#pragma once

#include "dataplane/dpdk/lines.h"
#include "dataplane/table/table.h"

namespace moat {

struct LiveTable {
  Table table;
  Lines lines;

  // Copies the table, which must have passed check_table(), into memory of that kind.
  [[nodiscard]] static Result<LiveTable> make(const Table& table,
                                              const Allocate& allocate = allocate_lines);
};

}  // namespace moat
