// SPDX-License-Identifier: BSD-2-Clause
// Kernel objects by file descriptor, and the table as a map: one array value, filled through mmap,
// frozen, read back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "dataplane/error.h"
#include "dataplane/fd.h"
#include "dataplane/table/table.h"

namespace moat {

// The number by which the kernel knows a map, a program or a link; 0 if `fd` is none of them.
[[nodiscard]] std::uint32_t kernel_id(int fd);

// Bytes of one value of a map; 0 if `fd` is no map.
[[nodiscard]] std::uint32_t map_value_size(int fd);

// A new inner map of `bytes` that holds the table. Nobody can write to it any more, and what was
// read back from it has the digest that the table says.
[[nodiscard]] Result<Fd> stage_table(const Table& table, std::uint32_t bytes);

// The table in an inner map, without a copy: it stays readable, and keeps the kernel's memory, as
// long as the Table lives. Errors: not a table of this ABI, damaged.
[[nodiscard]] Result<Table> read_table(int map);

}  // namespace moat
