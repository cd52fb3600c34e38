// SPDX-License-Identifier: BSD-2-Clause
// The image is laid out in three steps: the destination side (ports, addresses, endpoints), the
// source side (tops, trees, leaves), then everything copied into one block of memory. bpf/lookup.h
// says how each part is read and bpf/abi.h where it stands.
#include "dataplane/table/table.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <map>

#include "bpf/verdict.h"

namespace moat {
namespace {

static_assert(sizeof(moat_image) % 16 == 0);
static_assert(sizeof(moat_timed) == 16);
static_assert(sizeof(moat_leaf) == 16);
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

// A place of the IPv6 row, which one more database guards.
void add_ipv6_guard(std::uint8_t& place, const TableInput& input, std::uint8_t number) {
  const bool is_monitored = input.databases[number - 1u].monitor;
  if (place == 0) {
    place = number;
  } else if (place <= MOAT_MAX_DATABASES) {
    const bool both = is_monitored && input.databases[place - 1u].monitor;
    place = both ? MOAT_SEVERAL_MONITORED : MOAT_SEVERAL_ENFORCED;
  } else if (!is_monitored) {
    place = MOAT_SEVERAL_ENFORCED;
  }
}

Result<> fill_endpoint(Destinations& to, const TableInput& input, std::uint8_t number) {
  const TableInput::Database& database = input.databases[number - 1u];
  const std::uint32_t row = database.address ? to.address_rows.at(*database.address) : 0;
  auto* ipv6 = &to.endpoints[to.ipv6_row * to.stride];
  for (const auto port : database.ports) {
    const std::uint32_t port_row = to.port_rows.at(port);
    auto& place = to.endpoints[row * to.stride + port_row];
    if (place != 0) return refuse(fmt::format("port {} is guarded twice on one address", port));
    place = number;
    add_ipv6_guard(ipv6[port_row], input, number);
  }
  if (database.ipv6_closed)
    for (std::uint32_t port_row = 0; port_row < to.stride; port_row++)
      add_ipv6_guard(ipv6[port_row], input, number);
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
    if (database.ipv6_closed || !database.ports.empty()) to.flags |= MOAT_SOME_PORT;
    for (const auto port : database.ports) {
      to.port_rows.emplace(port, to.port_rows.size() + 1);
    }
  }
  to.stride = static_cast<std::uint32_t>(to.port_rows.size()) + 1;
  to.ipv6_row = static_cast<std::uint32_t>(to.address_rows.size()) + 1;
  to.endpoints.resize((to.ipv6_row + 1) * to.stride);

  std::uint8_t number = 0;
  for (const auto& database : input.databases) {
    number++;
    if (auto filled = fill_endpoint(to, input, number); !filled)
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
  unsigned top_bits = MOAT_MIN_TOP_BITS;
  std::vector<std::uint64_t> tops;
  std::vector<std::uint64_t> trees;  // pairs of words
  std::vector<moat_leaf> leaves;
};

using Ranges = std::span<const TableInput::Range>;

// A range within a tree: where it begins, and a class or the number of a leaf.
struct Piece {
  std::uint16_t first = 0;
  std::uint16_t value = 0;
};
using Pieces = std::span<const Piece>;

std::uint64_t lane(std::uint64_t value, std::size_t number) { return value << number * 16; }

// The keys of four pieces from `from` on, `step` apart.
std::uint64_t keys_of(Pieces pieces, std::size_t from, std::size_t step) {
  std::uint64_t word = 0;
  for (std::size_t i = 0; i < 4; i++) {
    const std::size_t piece = from + i * step;
    word |= lane(piece < pieces.size() ? pieces[piece].first : MOAT_NO_KEY, i);
  }
  return word;
}

moat_leaf leaf_of(Pieces pieces) {
  moat_leaf leaf = {keys_of(pieces, 0, 1), 0};
  for (std::size_t i = 0; i < std::min<std::size_t>(4, pieces.size()); i++)
    leaf.values |= lane(pieces[i].value, i);
  return leaf;
}

// Packs pieces, of which the first begins at 0, as the B+-tree of bpf/lookup.h; returns the
// reference to it.
std::uint32_t add_tree(std::vector<std::uint64_t>& words, Pieces pieces) {
  std::uint32_t depth = 0;
  std::size_t width = 4;  // pieces below the root of a full tree
  for (; width < pieces.size(); depth++) width *= 5;
  const auto place = static_cast<std::uint32_t>(words.size() / 2);
  for (std::size_t step = width / 5, nodes = 1; step >= 4; step /= 5, nodes *= 5)
    for (std::size_t node = 0; node < nodes; node++)
      words.push_back(keys_of(pieces, (node * 5 + 1) * step, step));
  if (words.size() % 2 != 0) words.push_back(0);
  for (std::size_t piece = 0; piece < pieces.size(); piece += 4) {
    const moat_leaf leaf = leaf_of(pieces.subspan(piece));
    words.insert(words.end(), {leaf.keys, leaf.values});
  }
  return MOAT_TREE | depth << MOAT_DEPTH_SHIFT | place;
}

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

// Adds what lies below the top entries, one after the other.
class SourcePlacer {
 public:
  explicit SourcePlacer(Sources& to) : to_(to) {}

  // The entry for the ranges of [first, first + 2^bits).
  std::uint64_t top_entry(Ranges within, std::uint32_t first, unsigned bits) {
    if (within.size() == 1) return within.front().cls;
    first_leaf_ = to_.leaves.size();
    pieces_.clear();
    std::size_t range = 0;  // the one that the /24 begins in
    for (std::uint32_t at = 0; at < 1u << (bits - 8);) {
      const std::uint32_t address = first + (at << 8);
      std::size_t end = range + 1;
      while (end < within.size() && within[end].first <= address) range = end++;
      if (end == within.size() || within[end].first > address + 0xff) {
        add_piece(at, within[range].cls);
        // On to the /24 in which the next range begins.
        at = end == within.size() ? 1u << (bits - 8) : (within[end].first - first) >> 8;
        continue;
      }
      while (end < within.size() && within[end].first <= address + 0xff) end++;
      add_piece(at++, MOAT_DIVIDED | add_leaf(within.subspan(range, end - range)));
    }
    return std::uint64_t{first_leaf_} << 32 | add_tree(to_.trees, pieces_);
  }

 private:
  void add_piece(std::uint32_t first, std::uint32_t value) {
    pieces_.push_back({static_cast<std::uint16_t>(first), static_cast<std::uint16_t>(value)});
  }

  // The ranges of a divided /24; returns its number.
  std::uint32_t add_leaf(Ranges within) {
    divided_.clear();
    for (const auto& range : within)
      divided_.push_back({static_cast<std::uint16_t>(range.first & 0xff), range.cls});
    divided_.front().first = 0;  // it may begin before the /24 does
    const auto number = static_cast<std::uint32_t>(to_.leaves.size() - first_leaf_);
    to_.leaves.push_back(within.size() <= 4 ? leaf_of(divided_)
                                            : moat_leaf{1, add_tree(to_.trees, divided_)});
    return number;
  }

  Sources& to_;
  std::size_t first_leaf_ = 0;
  std::vector<Piece> pieces_;
  std::vector<Piece> divided_;
};

// Twice as many top entries as ranges, within bounds: a small table stays small, and in a large one
// the trees are low. Of n top bits a tree has 2^(24-n) /24s at most, and at most two pieces a
// range: never more than MOAT_MAX_DEPTH levels.
unsigned top_bits_for(std::size_t ranges) {
  return std::clamp<unsigned>(static_cast<unsigned>(std::bit_width(ranges)) + 1, MOAT_MIN_TOP_BITS,
                              MOAT_MAX_TOP_BITS);
}

Sources place_sources(Ranges all) {
  Sources to;
  to.top_bits = top_bits_for(all.size());
  const unsigned below = 32 - to.top_bits;
  SourcePlacer placer(to);
  RangeCursor cursor(all);
  for (std::uint32_t top = 0; top < 1u << to.top_bits; top++) {
    const std::uint32_t first = top << below;
    to.tops.push_back(placer.top_entry(cursor.take(first, below), first, below));
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
Image seal(Memory bytes, std::uint32_t size) {
  const std::uint64_t digest = image_digest({bytes.get(), size});
  std::memcpy(bytes.get() + offsetof(moat_image, digest), &digest, sizeof digest);
  return {std::move(bytes), size};
}

void fill_databases(const TableInput& input, moat_image& header) {
  header.db[0].monitor = input.host_monitor;
  header.db[MOAT_SEVERAL_MONITORED].monitor = 1;
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
  header.tops_offset = layout.add(sources.tops.size() * sizeof(std::uint64_t));
  header.top_bits = sources.top_bits;
  header.trees_offset = layout.add(sources.trees.size() * sizeof(std::uint64_t));
  header.leaves_offset = layout.add(sources.leaves.size() * sizeof(moat_leaf));
  header.prefixes = input.prefixes;
  header.size = layout.size;
  if (layout.size > MOAT_TIER_LARGE)
    return refuse(
        fmt::format("the table takes {} bytes; at most {} fit", layout.size, MOAT_TIER_LARGE));
  auto multiplier = place_addresses(*destinations, header);
  if (!multiplier) return std::unexpected(multiplier.error());
  header.address_multiplier = *multiplier;
  std::copy(destinations->page.begin(), destinations->page.end(), header.page);
  fill_databases(input, header);

  auto memory = allocate(layout.size);
  if (!memory) return std::unexpected(memory.error());
  std::byte* bytes = memory->get();
  std::memcpy(bytes, &header, sizeof header);
  copy_at(bytes, header.pages_offset, destinations->pages);
  copy_at(bytes, header.endpoints_offset, destinations->endpoints);
  copy_at(bytes, header.classes_offset, input.classes);
  copy_at(bytes, header.timed_offset, input.timed);
  copy_at(bytes, header.tops_offset, sources.tops);
  copy_at(bytes, header.trees_offset, sources.trees);
  copy_at(bytes, header.leaves_offset, sources.leaves);
  return seal(std::move(*memory), layout.size);
}

// Destinations stand before sources in an image, so they are its beginning, as it is. Of the
// sources the top is left, each entry of which is class 0: nobody.
Result<Image> close_to_all(const Image& image) {
  moat_image header = image.header();
  Layout layout;
  layout.size = header.classes_offset;
  header.digest = 0;
  header.classes = 1;
  header.classes_offset = layout.add(header.databases * sizeof(std::uint16_t));
  header.timed_offset = layout.add(0);
  header.timed = 0;
  header.top_bits = MOAT_MIN_TOP_BITS;
  header.tops_offset = layout.add(sizeof(std::uint64_t) << MOAT_MIN_TOP_BITS);
  header.trees_offset = layout.add(0);
  header.leaves_offset = layout.add(0);
  header.prefixes = 0;
  header.size = layout.size;
  if (layout.size > MOAT_CLOSED_BYTES)
    return refuse(
        fmt::format("the endpoints take {} bytes; at most {} fit", layout.size, MOAT_CLOSED_BYTES));
  auto memory = allocate(layout.size);
  if (!memory) return std::unexpected(memory.error());
  std::memcpy(memory->get(), image.bytes().data(), header.classes_offset);
  std::memcpy(memory->get(), &header, sizeof header);
  return seal(std::move(*memory), layout.size);
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
  moat_frame view = {.data = frame.data(),
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
