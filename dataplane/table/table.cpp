// SPDX-License-Identifier: BSD-2-Clause
// Destinations and sources are laid out on their own; here they become one block of memory, which
// is checked and read. bpf/abi.h says where each part stands and bpf/lookup.h how it is read.
#include "dataplane/table/table.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "bpf/verdict.h"
#include "dataplane/table/destinations.h"
#include "dataplane/table/sources.h"

namespace moat {
namespace {

static_assert(sizeof(moat_table) % 16 == 0);
static_assert(sizeof(moat_timed) == 16);
static_assert(sizeof(moat_leaf) == 16);
static_assert(MOAT_BACKSTOP < MOAT_REASONS);

constexpr std::uint32_t align16(std::size_t bytes) {
  return static_cast<std::uint32_t>((bytes + 15) & ~std::size_t{15});
}

std::unexpected<Error> refuse(std::string message, std::string remedy = {}) {
  return std::unexpected(Error{std::move(message), std::move(remedy)});
}

// What stands behind the header, in the order of bpf/abi.h.
class Parts {
 public:
  // Returns the offset. `values` must outlive this.
  template <typename T>
  std::uint32_t add(const std::vector<T>& values) {
    const auto bytes = std::as_bytes(std::span(values));
    parts_.emplace_back(size_, bytes);
    size_ += align16(bytes.size());
    return parts_.back().first;
  }

  // Of the table, its header included.
  [[nodiscard]] std::uint32_t size() const { return size_; }

  void copy_to(std::byte* table) const {
    for (const auto& [offset, bytes] : parts_)
      if (!bytes.empty()) std::memcpy(table + offset, bytes.data(), bytes.size());
  }

 private:
  std::uint32_t size_ = sizeof(moat_table);
  std::vector<std::pair<std::uint32_t, std::span<const std::byte>>> parts_;
};

Result<> check_limits(const TableInput& input, const Sources& sources) {
  const std::size_t width = input.databases.size();
  const std::size_t classes = width == 0 ? 1 : input.classes.size() / width;
  if (width > MOAT_MAX_DATABASES)
    return refuse(fmt::format("{} databases; a host guards at most {}", width, MOAT_MAX_DATABASES));
  if (classes > MOAT_MAX_CLASSES)
    return refuse(fmt::format("the managed ranges overlap in {} different ways; at most {} fit",
                              classes, MOAT_MAX_CLASSES),
                  "name fewer managed ranges that overlap one another");
  if (input.timed.size() > MOAT_MAX_TIMED)
    return refuse(fmt::format("expiring rules combine in {} ways; at most {} fit",
                              input.timed.size(), MOAT_MAX_TIMED),
                  "give fewer overlapping rules an expiry");
  const std::size_t bytes =
      (sources.trees.size() + sources.leaves.size() * 2 + input.classes.size() / 4) * 8;
  if (bytes > MOAT_TIER_LARGE)
    return refuse(fmt::format("the table would take {} MiB; at most {} fit", bytes >> 20,
                              MOAT_TIER_LARGE >> 20));
  return {};
}

using Memory = std::shared_ptr<std::byte>;

// All zero.
Result<Memory> allocate(std::uint32_t size) {
  Memory bytes(static_cast<std::byte*>(std::aligned_alloc(64, (size + 63u) & ~63u)), std::free);
  if (!bytes) return refuse(fmt::format("no memory for a table of {} bytes", size));
  std::memset(bytes.get(), 0, size);
  return bytes;
}

// The header is there but for the digest.
Table seal(Memory bytes, std::uint32_t size) {
  const std::uint64_t digest = table_digest({bytes.get(), size});
  std::memcpy(bytes.get() + offsetof(moat_table, digest), &digest, sizeof digest);
  return {std::move(bytes), size};
}

moat_table begin_header(const TableInput& input) {
  moat_table header = {};
  header.magic = MOAT_MAGIC;
  header.abi = MOAT_ABI;
  header.generation = input.generation;
  header.prefixes = input.prefixes;
  header.databases = static_cast<std::uint32_t>(input.databases.size());
  header.db[0].monitor = input.monitor_unknown;
  header.db[MOAT_SEVERAL_MONITORED].monitor = 1;
  for (std::size_t i = 0; i < input.databases.size(); i++) {
    header.db[i + 1].owner = input.databases[i].owner;
    header.db[i + 1].monitor = input.databases[i].monitor;
  }
  return header;
}

Result<> add_destinations(const Destinations& from, moat_table& header, Parts& parts) {
  header.flags = from.flags;
  header.endpoint_stride = from.stride;
  header.ipv6_row = from.ipv6_row;
  std::ranges::copy(from.page, header.page);
  header.pages_offset = parts.add(from.pages);
  header.endpoints_offset = parts.add(from.endpoints);
  return place_addresses(from, header);
}

void add_classes(const TableInput& input, moat_table& header, Parts& parts) {
  header.classes = static_cast<std::uint32_t>(
      header.databases == 0 ? 1 : input.classes.size() / header.databases);
  header.timed = static_cast<std::uint32_t>(input.timed.size());
  header.classes_offset = parts.add(input.classes);
  header.timed_offset = parts.add(input.timed);
}

void add_sources(const Sources& from, moat_table& header, Parts& parts) {
  header.top_bits = from.top_bits;
  header.tops_offset = parts.add(from.tops);
  header.trees_offset = parts.add(from.trees);
  header.leaves_offset = parts.add(from.leaves);
}

}  // namespace

Result<Table> build_table(const TableInput& input) {
  const Sources sources = place_sources(input.ranges);
  if (auto within = check_limits(input, sources); !within) return std::unexpected(within.error());
  const auto destinations = place_destinations(input);
  if (!destinations) return std::unexpected(destinations.error());

  Parts parts;
  moat_table header = begin_header(input);
  if (auto added = add_destinations(*destinations, header, parts); !added)
    return std::unexpected(added.error());
  add_classes(input, header, parts);
  add_sources(sources, header, parts);
  header.size = parts.size();
  if (header.size > MOAT_TIER_LARGE)
    return refuse(
        fmt::format("the table takes {} bytes; at most {} fit", header.size, MOAT_TIER_LARGE));

  auto memory = allocate(header.size);
  if (!memory) return std::unexpected(memory.error());
  std::memcpy(memory->get(), &header, sizeof header);
  parts.copy_to(memory->get());
  return seal(std::move(*memory), header.size);
}

// Destinations stand before sources in a table, so they are its beginning, as it is. Of the
// sources the top is left, each entry of which is class 0: nobody.
Result<Table> close_to_all(const Table& table) {
  moat_table header = table.header();
  header.digest = 0;
  header.classes = 1;
  header.timed = 0;
  header.prefixes = 0;
  header.top_bits = MOAT_MIN_TOP_BITS;
  header.timed_offset = header.classes_offset + align16(header.databases * sizeof(std::uint16_t));
  header.tops_offset = header.timed_offset;
  header.trees_offset = header.tops_offset + (sizeof(std::uint64_t) << MOAT_MIN_TOP_BITS);
  header.leaves_offset = header.trees_offset;
  header.size = header.leaves_offset;
  if (header.size > MOAT_CLOSED_BYTES)
    return refuse(
        fmt::format("the endpoints take {} bytes; at most {} fit", header.size, MOAT_CLOSED_BYTES));
  auto memory = allocate(header.size);
  if (!memory) return std::unexpected(memory.error());
  std::memcpy(memory->get(), table.bytes().data(), header.classes_offset);
  std::memcpy(memory->get(), &header, sizeof header);
  return seal(std::move(*memory), header.size);
}

std::uint64_t table_digest(std::span<const std::byte> table) {
  moat_table header;
  std::memcpy(&header, table.data(), sizeof header);
  header.digest = 0;
  const auto rest = table.subspan(sizeof header);
  return XXH3_64bits_withSeed(rest.data(), rest.size(), XXH3_64bits(&header, sizeof header));
}

Result<> check_table(std::span<const std::byte> bytes) {
  if (bytes.size() < sizeof(moat_table)) return refuse("no table: too short");
  const auto& header = *reinterpret_cast<const moat_table*>(bytes.data());
  if (header.magic != MOAT_MAGIC) return refuse("no table: wrong magic number");
  if (header.abi != MOAT_ABI)
    return refuse(fmt::format("table of ABI version {}, not {}", header.abi, MOAT_ABI));
  if (header.size < sizeof(moat_table) || header.size > bytes.size() || header.size % 16 != 0)
    return refuse(fmt::format("damaged table: says {} bytes of {}", header.size, bytes.size()));
  if (table_digest(bytes.first(header.size)) != header.digest)
    return refuse("damaged table: its digest does not match its bytes");
  return {};
}

moat_verdict judge(const Table& table, std::span<const std::uint8_t> frame, std::uint64_t now) {
  moat_verdict verdict;
  moat_frame view = {.data = frame.data(),
                     .end = frame.data() + frame.size(),
                     .length = static_cast<std::uint32_t>(frame.size()),
                     .context = nullptr,
                     .now = now};
  moat_judge_frame(&table.header(), table.header().size, &view, &verdict);
  return verdict;
}

std::uint32_t source_class(const Table& table, Address source) {
  return moat_source_class(&table.header(), table.header().size, source.value);
}

std::uint32_t entry_slot(const Table& table, std::uint32_t cls, std::uint32_t database,
                         std::uint64_t now) {
  const moat_frame at = {
      .data = nullptr, .end = nullptr, .length = 0, .context = nullptr, .now = now};
  return moat_entry_slot(&table.header(), table.header().size, cls, database, &at);
}

const char* reason_text(unsigned reason) {
  static constexpr const char* texts[] = {
#define MOAT_X(name, text, drops) text,
      MOAT_REASON_LIST(MOAT_X)
#undef MOAT_X
  };
  return reason < std::size(texts) ? texts[reason] : "unknown";
}

}  // namespace moat
