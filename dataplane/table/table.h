// SPDX-License-Identifier: BSD-2-Clause
// A generation as bytes: lays out, checks and reads the table that bpf/abi.h describes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "bpf/abi.h"
#include "dataplane/error.h"
#include "dataplane/table/table_input.h"

struct moat_verdict;

namespace moat {

// The bytes of one generation, 64-byte aligned, immutable once built.
class Table {
 public:
  Table() = default;
  // Takes over `size` bytes; copies nothing.
  Table(std::shared_ptr<const std::byte> bytes, std::size_t size)
      : bytes_(std::move(bytes)), size_(size) {}

  [[nodiscard]] std::span<const std::byte> bytes() const { return {bytes_.get(), size_}; }
  [[nodiscard]] const moat_table& header() const {
    return *reinterpret_cast<const moat_table*>(bytes_.get());
  }
  [[nodiscard]] explicit operator bool() const { return size_ != 0; }

 private:
  std::shared_ptr<const std::byte> bytes_;
  std::size_t size_ = 0;
};

// Lays the table out. Errors: over MOAT_TIER_LARGE bytes, over MOAT_MAX_CLASSES classes, over
// MOAT_MAX_TIMED timed entries, two databases on one endpoint. Linear in ranges.
[[nodiscard]] Result<Table> build_table(const TableInput& input);

// The same generation, endpoints and modes, with nobody allowed; at most MOAT_CLOSED_BYTES.
[[nodiscard]] Result<Table> close_to_all(const Table& table);

// 64 bits of the whole table with the digest field taken as zero; what `digest` in the header must
// be. Not cryptographic: it tells damage and difference, not malice.
[[nodiscard]] std::uint64_t table_digest(std::span<const std::byte> table);

// Whether bytes found somewhere (a map, a file) are a sound table of this ABI: magic, ABI version,
// size, digest. `bytes` may be longer than the table, as a map's value is.
[[nodiscard]] Result<> check_table(std::span<const std::byte> bytes);

// The verdict of the shared function on a frame in one piece. `now`: CLOCK_MONOTONIC in ns, 0 to
// ask the clock. The table must have passed check_table.
[[nodiscard]] moat_verdict judge(const Table& table, std::span<const std::uint8_t> frame,
                                 std::uint64_t now = 0);

// The class of a source, and the verdict entry of (class, database number 1..).
[[nodiscard]] std::uint32_t source_class(const Table& table, Address source);
[[nodiscard]] std::uint32_t entry_slot(const Table& table, std::uint32_t cls,
                                       std::uint32_t database, std::uint64_t now);

[[nodiscard]] const char* reason_text(unsigned reason);

}  // namespace moat
