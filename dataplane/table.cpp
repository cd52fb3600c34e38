// SPDX-License-Identifier: BSD-2-Clause
// The image is laid out in three steps: the destination side (ports, addresses, endpoints), the
// source side (top, blocks, chunks), then everything copied into one block of memory. bpf/table.h
// says how each part is read and bpf/abi.h where it stands.
#include "dataplane/table.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <map>

#include "bpf/verdict.h"

namespace moat {
namespace {

static_assert(sizeof(moat_image) % 16 == 0);
static_assert(sizeof(moat_timed) == 16);
static_assert(MOAT_BACKSTOP < MOAT_REASONS);

constexpr std::uint32_t align16(std::size_t bytes) {
  return static_cast<std::uint32_t>((bytes + 15) & ~std::size_t{15});
}

std::unexpected<Error> refuse(std::string message, std::string remedy = {}) {
  return std::unexpected(Error{std::move(message), std::move(remedy)});
}

// ---- Destinations: which database guards (address, port) ----

struct Destinations {
  std::uint32_t flags = 0;
  std::map<std::uint16_t, std::uint16_t> port_rows;    // port -> row 1..
  std::map<std::uint32_t, std::uint8_t> address_rows;  // address, host byte order -> row 1..
  std::map<std::uint32_t, std::uint8_t> all;           // address -> database with `ports: all`
  std::uint32_t stride = 0;
  std::uint32_t ipv6_row = 0;
  std::vector<std::uint8_t> endpoints;
  std::vector<std::uint16_t> pages;  // u16[256] each
  std::array<std::uint16_t, 256> page{};
};

Result<> fill_endpoint(Destinations& to, const TableInput::Database& database,
                       std::uint8_t number) {
  const std::uint32_t row = database.address ? to.address_rows.at(*database.address) : 0;
  for (const auto port : database.ports) {
    const std::uint32_t port_row = to.port_rows.at(port);
    auto& place = to.endpoints[row * to.stride + port_row];
    if (place != 0) return refuse(fmt::format("port {} is guarded twice on one address", port));
    place = number;
    auto& ipv6 = to.endpoints[to.ipv6_row * to.stride + port_row];
    ipv6 = ipv6 == 0 ? number : static_cast<std::uint8_t>(MOAT_SEVERAL);
  }
  return {};
}

// Where an address guards nothing of its own on a port, what guards every address does.
void inherit_any_address(Destinations& to) {
  for (std::uint32_t row = 1; row < to.ipv6_row; row++)
    for (std::uint32_t port = 0; port < to.stride; port++)
      if (auto& place = to.endpoints[row * to.stride + port]; place == 0)
        place = to.endpoints[port];
}

void fill_pages(Destinations& to) {
  to.pages.resize(256);
  for (const auto& [port, row] : to.port_rows) {
    auto& page = to.page[port >> 8];
    if (page == 0) {
      page = static_cast<std::uint16_t>(to.pages.size() / 256);
      to.pages.resize(to.pages.size() + 256);
    }
    to.pages[page * 256u + (port & 255u)] = row;
  }
}

Result<Destinations> place_destinations(const TableInput& input) {
  Destinations to;
  for (const auto& database : input.databases) {
    to.flags |= database.address ? MOAT_SOME_ADDRESS : MOAT_ANY_ADDRESS;
    if (database.address) to.address_rows.emplace(*database.address, to.address_rows.size() + 1);
    for (const auto port : database.ports) {
      to.flags |= MOAT_SOME_PORT;
      to.port_rows.emplace(port, to.port_rows.size() + 1);
    }
  }
  to.stride = static_cast<std::uint32_t>(to.port_rows.size()) + 1;
  to.ipv6_row = static_cast<std::uint32_t>(to.address_rows.size()) + 1;
  to.endpoints.resize((to.ipv6_row + 1) * to.stride);

  std::uint8_t number = 0;
  for (const auto& database : input.databases) {
    number++;
    if (auto filled = fill_endpoint(to, database, number); !filled)
      return std::unexpected(filled.error());
    if (database.all && !to.all.emplace(database.address.value_or(0), number).second)
      return refuse("two databases have all ports of one address");
  }
  inherit_any_address(to);
  fill_pages(to);
  return to;
}

// A multiplier under which no two guarded addresses share a place. Among 512 places a random one
// serves 64 addresses with a chance of 1 in 60 or so, so that a handful of steps finds it.
Result<std::uint32_t> place_addresses(const Destinations& from, moat_image& header) {
  std::uint64_t state = 0x9e3779b97f4a7c15;
  for (int attempt = 0; attempt < 1'000'000; attempt++) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const auto multiplier = static_cast<std::uint32_t>(state >> 32) | 1u;
    std::fill(std::begin(header.address), std::end(header.address), moat_address{});
    bool clash = false;
    for (const auto& [address, row] : from.address_rows) {
      const __be32 wire = __builtin_bswap32(address);
      auto& place = header.address[moat_address_hash(multiplier, wire)];
      clash = place.row != 0;
      if (clash) break;
      const auto all = from.all.find(address);
      place = {wire, row, all == from.all.end() ? std::uint8_t{0} : all->second, {}};
    }
    if (!clash) return multiplier;
  }
  return refuse("no collision-free hash found for the guarded addresses");
}

// ---- Sources: address -> class ----

struct Sources {
  std::array<std::uint32_t, 1u << MOAT_TOP_BITS> top{};
  std::vector<std::uint32_t> blocks;  // u32[256] each
  std::vector<std::uint64_t> chunks;  // pairs of words
};

using Ranges = std::span<const TableInput::Range>;

// Packs sorted ranges of one /17 as the B+-tree of bpf/table.h; returns the entry that refers to
// it.
class ChunkPacker {
 public:
  explicit ChunkPacker(std::vector<std::uint64_t>& words) : words_(words) {}

  std::uint32_t pack(Ranges ranges) {
    const std::size_t leaves = (ranges.size() + 3) / 4;
    std::uint32_t depth = 0;
    std::size_t inner = 0, width = 1;  // nodes above the leaves; leaves of a full tree
    for (; width < leaves; depth++, width *= 5) inner = inner * 5 + 1;

    const std::size_t start = words_.size();
    const std::size_t first_leaf = start + (inner + inner % 2);
    words_.resize(first_leaf + leaves * 2);
    std::size_t word = start;
    for (std::size_t nodes = 1, span = width; span > 1; nodes *= 5, span /= 5)
      for (std::size_t node = 0; node < nodes; node++)
        words_[word++] = separators(ranges, node * span, span / 5);
    for (std::size_t leaf = 0; leaf < leaves; leaf++) {
      words_[first_leaf + leaf * 2] = keys(ranges, leaf * 4);
      words_[first_leaf + leaf * 2 + 1] = classes(ranges, leaf * 4);
    }
    return MOAT_NODE | depth << MOAT_DEPTH_SHIFT | static_cast<std::uint32_t>(start / 2);
  }

 private:
  static std::uint64_t key(Ranges ranges, std::size_t range) {
    constexpr std::uint32_t mask = (1u << MOAT_CHUNK_BITS) - 1;
    if (range == 0) return 0;  // it may begin before the /17 does
    return range < ranges.size() ? ranges[range].first & mask : MOAT_NO_KEY;
  }
  // The first keys of children 1..4 of the node whose leaves begin at `leaf`, `step` leaves a
  // child.
  static std::uint64_t separators(Ranges ranges, std::size_t leaf, std::size_t step) {
    std::uint64_t word = 0;
    for (unsigned child = 1; child <= 4; child++)
      word |= key(ranges, (leaf + child * step) * 4) << (child - 1) * 16;
    return word;
  }
  static std::uint64_t keys(Ranges ranges, std::size_t range) {
    std::uint64_t word = 0;
    for (unsigned i = 0; i < 4; i++) word |= key(ranges, range + i) << i * 16;
    return word;
  }
  static std::uint64_t classes(Ranges ranges, std::size_t range) {
    std::uint64_t word = 0;
    for (unsigned i = 0; i < 4 && range + i < ranges.size(); i++)
      word |= std::uint64_t{ranges[range + i].cls} << i * 16;
    return word;
  }

  std::vector<std::uint64_t>& words_;
};

// Hands out the ranges that touch one aligned piece of the address space after the other.
class RangeCursor {
 public:
  explicit RangeCursor(Ranges ranges) : ranges_(ranges) {}

  // The ranges of [first, first + 2^bits), which must follow the piece asked for before.
  Ranges take(std::uint32_t first, unsigned bits) {
    const std::uint64_t end = std::uint64_t{first} + (std::uint64_t{1} << bits);
    std::size_t begin = next_ - 1;  // the range that reaches into this piece
    if (next_ < ranges_.size() && ranges_[next_].first == first) begin = next_++;
    while (next_ < ranges_.size() && ranges_[next_].first < end) next_++;
    return ranges_.subspan(begin, next_ - begin);
  }

 private:
  Ranges ranges_;
  std::size_t next_ = 1;
};

Sources place_sources(Ranges all) {
  Sources to;
  ChunkPacker packer(to.chunks);
  RangeCursor tops(all);
  for (std::uint32_t t = 0; t < to.top.size(); t++) {
    const std::uint32_t top_first = t << (32 - MOAT_TOP_BITS);
    const Ranges within = tops.take(top_first, 32 - MOAT_TOP_BITS);
    if (within.size() == 1) {
      to.top[t] = within.front().cls;
      continue;
    }
    to.top[t] = MOAT_NODE | static_cast<std::uint32_t>(to.blocks.size() >> MOAT_BLOCK_BITS);
    RangeCursor blocks(within);
    for (std::uint32_t b = 0; b < 1u << MOAT_BLOCK_BITS; b++) {
      const Ranges below = blocks.take(top_first + (b << MOAT_CHUNK_BITS), MOAT_CHUNK_BITS);
      to.blocks.push_back(below.size() == 1 ? below.front().cls : packer.pack(below));
    }
  }
  return to;
}

// ---- Putting it together ----

struct Layout {
  std::uint32_t size = sizeof(moat_image);

  std::uint32_t add(std::size_t bytes) {
    const std::uint32_t offset = size;
    size += align16(bytes);
    return offset;
  }
};

template <typename T>
void copy_at(std::byte* image, std::uint32_t offset, const T& values) {
  if (!values.empty())
    std::memcpy(image + offset, values.data(), values.size() * sizeof(values[0]));
}

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
  const std::size_t bytes = (sources.chunks.size() + input.classes.size() / 4) * 8;
  if (bytes > MOAT_TIER_LARGE)
    return refuse(fmt::format("the table would take {} MiB; at most {} fit", bytes >> 20,
                              MOAT_TIER_LARGE >> 20));
  return {};
}

void fill_databases(const TableInput& input, moat_image& header) {
  header.db[0].monitor = input.host_monitor;
  for (std::size_t i = 0; i < input.databases.size(); i++) {
    header.db[i + 1].owner = input.databases[i].owner;
    header.db[i + 1].monitor = input.databases[i].monitor;
  }
}

}  // namespace

Result<Image> build_image(const TableInput& input) {
  const Sources sources = place_sources(input.ranges);
  if (auto within = check_limits(input, sources); !within) return std::unexpected(within.error());
  auto destinations = place_destinations(input);
  if (!destinations) return std::unexpected(destinations.error());

  Layout layout;
  moat_image header = {};
  header.magic = MOAT_MAGIC;
  header.abi = MOAT_ABI;
  header.generation = input.generation;
  header.flags = destinations->flags;
  header.databases = static_cast<std::uint32_t>(input.databases.size());
  header.classes = static_cast<std::uint32_t>(
      header.databases == 0 ? 1 : input.classes.size() / header.databases);
  header.pages_offset = layout.add(destinations->pages.size() * sizeof(std::uint16_t));
  header.endpoints_offset = layout.add(destinations->endpoints.size());
  header.endpoint_stride = destinations->stride;
  header.ipv6_row = destinations->ipv6_row;
  header.classes_offset = layout.add(input.classes.size() * sizeof(std::uint16_t));
  header.timed_offset = layout.add(input.timed.size() * sizeof(moat_timed));
  header.timed = static_cast<std::uint32_t>(input.timed.size());
  header.blocks_offset = layout.add(sources.blocks.size() * sizeof(std::uint32_t));
  header.chunks_offset = layout.add(sources.chunks.size() * sizeof(std::uint64_t));
  header.prefixes = input.prefixes;
  header.size = layout.size;
  if (layout.size > MOAT_TIER_LARGE)
    return refuse(
        fmt::format("the table takes {} bytes; at most {} fit", layout.size, MOAT_TIER_LARGE));
  auto multiplier = place_addresses(*destinations, header);
  if (!multiplier) return std::unexpected(multiplier.error());
  header.address_multiplier = *multiplier;
  std::copy(destinations->page.begin(), destinations->page.end(), header.page);
  std::copy(sources.top.begin(), sources.top.end(), header.top);
  fill_databases(input, header);

  const std::shared_ptr<std::byte> bytes(
      static_cast<std::byte*>(std::aligned_alloc(64, (layout.size + 63u) & ~63u)), std::free);
  if (!bytes) return refuse(fmt::format("no memory for a table of {} bytes", layout.size));
  std::memset(bytes.get(), 0, layout.size);
  std::memcpy(bytes.get(), &header, sizeof header);
  copy_at(bytes.get(), header.pages_offset, destinations->pages);
  copy_at(bytes.get(), header.endpoints_offset, destinations->endpoints);
  copy_at(bytes.get(), header.classes_offset, input.classes);
  copy_at(bytes.get(), header.timed_offset, input.timed);
  copy_at(bytes.get(), header.blocks_offset, sources.blocks);
  copy_at(bytes.get(), header.chunks_offset, sources.chunks);

  const std::uint64_t digest = image_digest({bytes.get(), layout.size});
  std::memcpy(bytes.get() + offsetof(moat_image, digest), &digest, sizeof digest);
  return Image(bytes, layout.size);
}

std::uint64_t image_digest(std::span<const std::byte> image) {
  moat_image header;
  std::memcpy(&header, image.data(), sizeof header);
  header.digest = 0;
  const auto rest = image.subspan(sizeof header);
  return XXH3_64bits_withSeed(rest.data(), rest.size(), XXH3_64bits(&header, sizeof header));
}

Result<> check_image(std::span<const std::byte> bytes) {
  if (bytes.size() < sizeof(moat_image)) return refuse("no table: too short");
  const auto& header = *reinterpret_cast<const moat_image*>(bytes.data());
  if (header.magic != MOAT_MAGIC) return refuse("no table: wrong magic number");
  if (header.abi != MOAT_ABI)
    return refuse(fmt::format("table of ABI version {}, not {}", header.abi, MOAT_ABI));
  if (header.size < sizeof(moat_image) || header.size > bytes.size() || header.size % 16 != 0)
    return refuse(fmt::format("damaged table: says {} bytes of {}", header.size, bytes.size()));
  if (image_digest(bytes.first(header.size)) != header.digest)
    return refuse("damaged table: its digest does not match its bytes");
  return {};
}

moat_verdict judge(const Image& image, std::span<const std::uint8_t> frame, std::uint64_t now) {
  moat_verdict verdict;
  const moat_frame view = {.data = frame.data(),
                           .end = frame.data() + frame.size(),
                           .length = static_cast<std::uint32_t>(frame.size()),
                           .context = nullptr,
                           .now = now};
  moat_judge_frame(&image.header(), image.header().size, &view, &verdict);
  return verdict;
}

std::uint32_t source_class(const Image& image, std::uint32_t source) {
  return moat_source_class(&image.header(), image.header().size, source);
}

std::uint32_t entry_slot(const Image& image, std::uint32_t cls, std::uint32_t database,
                         std::uint64_t now) {
  const moat_frame at = {
      .data = nullptr, .end = nullptr, .length = 0, .context = nullptr, .now = now};
  return moat_entry_slot(&image.header(), image.header().size, cls, database, &at);
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
