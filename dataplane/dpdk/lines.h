// SPDX-License-Identifier: BSD-2-Clause
// An index of a table's sources for looking up many at once, derived from the table when that
// becomes live. It answers which class a whole /24 has; a divided /24 is asked of the table's own
// leaves, so the table stays the only truth.
//
//   firsts   u32[65536]    for each /16: its class, if it has one alone, or has_line and a number of
//   lines    SourceLine[]  which is a cache line for each other /16; and what does not fit into them:
//   more     u16[]
//
// A line, of which a table of a million prefixes has nearly 65,536, and one of thirty some thirty:
//
//   begins   u64[4]   bit j: /24 number j begins a run of /24s of one value
//   leaves   u32      number of the table's leaf that the first divided /24 of the line has
//   more     u32      runs from the eleventh on have their values at more[] + this
//   before   u8[4]    runs that begin before word 0, 1, 2, 3 of `begins`
//   value    u16[10]  of the first runs: a class, or MOAT_DIVIDED and the leaf, counted from `leaves`
//
// The bits at and before a /24, counted, say which run it is in: of two reads, for a divided /24
// three, each waits for the one before, and those of a burst are under way together. Bitmaps with a
// count are as in Lulea tries (Degermark et al., "Small forwarding tables for fast routing
// lookups", 1997).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "bpf/abi.h"
#include "dataplane/error.h"

namespace moat {

// Zeroed or not, aligned to 64 bytes; null: no memory.
using Allocate = std::function<std::shared_ptr<std::byte>(std::size_t bytes)>;

// From the C library.
[[nodiscard]] std::shared_ptr<std::byte> allocate_lines(std::size_t bytes);

struct alignas(64) SourceLine {
  std::uint64_t begins[4];
  std::uint32_t leaves;
  std::uint32_t more;
  std::uint8_t before[4];
  std::uint16_t value[10];
};
static_assert(sizeof(SourceLine) == 64);

class Lines {
 public:
  // Sources that can be asked for at once.
  static constexpr unsigned max_burst = 64;

  // Answers nothing.
  Lines() = default;
  // Takes milliseconds. The table must have passed check_table().
  [[nodiscard]] static Result<Lines> build(const moat_table& table,
                                           const Allocate& allocate = allocate_lines);

  [[nodiscard]] explicit operator bool() const { return memory_ != nullptr; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

  struct Parts {
    std::span<const std::uint32_t> firsts;
    std::span<const SourceLine> lines;
    std::span<const std::uint16_t> more;
  };
  [[nodiscard]] Parts parts() const;

  // The classes of up to max_burst sources, host byte order: what moat_source_class() says of each.
  // `table` is the one that this was built of.
  void look_up(const moat_table& table, std::span<const std::uint32_t> sources,
               std::uint32_t* classes) const;

 private:
  std::shared_ptr<std::byte> memory_;
  std::size_t bytes_ = 0;
  const std::uint32_t* firsts_ = nullptr;
  const SourceLine* lines_ = nullptr;
  std::uint32_t line_count_ = 0;
};

}  // namespace moat
