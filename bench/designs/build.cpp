// SPDX-License-Identifier: BSD-2-Clause
#include "bench/designs/build.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <map>
#include <span>

#include "bench/designs/dxr.h"
#include "bench/designs/even.h"
#include "bench/designs/leaves.h"
#include "bench/designs/lines.h"
#include "bench/designs/poptrie.h"
#include "bench/designs/sorted.h"
#include "bench/designs/strides.h"
#include "bench/designs/wide.h"
#include "bpf/lookup.h"
#include "dataplane/dpdk/lines.h"

namespace moat::bench {
namespace {

template <typename Values>
std::uint32_t append(Block& block, const Values& values) {
  const auto bytes = std::as_bytes(std::span(values));
  block.resize((block.size() + 63) / 64 * 64);
  const std::size_t at = block.size();
  block.resize(at + bytes.size());
  if (!bytes.empty()) std::memcpy(block.data() + at, bytes.data(), bytes.size());
  return static_cast<std::uint32_t>(at);
}

void set_header(Block& block, const design_header& header) {
  std::memcpy(block.data(), &header, sizeof header);
}

// The ranges that touch [first, first + 2^bits): indexes [begin, end).
struct Span {
  std::size_t begin, end;
  [[nodiscard]] std::size_t size() const { return end - begin; }
};

Span within(const Ranges& ranges, Span around, std::uint32_t first, unsigned bits) {
  const auto by_first = [](std::uint64_t address, const TableInput::Range& range) {
    return address < range.first;
  };
  const auto from = ranges.begin() + static_cast<std::ptrdiff_t>(around.begin);
  const auto to = ranges.begin() + static_cast<std::ptrdiff_t>(around.end);
  const auto begin = std::upper_bound(from, to, std::uint64_t{first}, by_first) - 1;
  const auto end =
      std::upper_bound(begin, to, std::uint64_t{first} + (std::uint64_t{1} << bits) - 1, by_first);
  return {static_cast<std::size_t>(begin - ranges.begin()),
          static_cast<std::size_t>(end - ranges.begin())};
}

// ---- The product's ----

Block build_moat(const Ranges& ranges) {
  TableInput input;
  input.databases = {{.owner = 1, .monitor = false, .address = {}, .all = false, .ports = {5432}}};
  input.ranges = ranges;
  for (std::uint16_t cls = 0; cls <= 30; cls++) input.classes.push_back(cls);
  const auto table = build_table(input);
  if (!table) return {};
  return {table->bytes().begin(), table->bytes().end()};
}

std::uint32_t moat_class(const std::uint8_t* block, std::uint32_t limit, std::uint32_t source) {
  return moat_source_class(reinterpret_cast<const moat_table*>(block), limit, source);
}

// ---- The fast path's index over the product's ----

Block build_lines(const Ranges& ranges) {
  Block block = build_moat(ranges);
  if (block.empty()) return block;
  const auto lines = Lines::build(*reinterpret_cast<const moat_table*>(block.data()));
  if (!lines) return {};
  block.resize((block.size() + 63) / 64 * 64);
  const std::size_t at = block.size();
  block.resize(at + sizeof(design_header));
  const auto [firsts, cache_lines, more] = lines->parts();
  const design_header header = {
      {append(block, firsts), append(block, cache_lines), append(block, more)}};
  std::memcpy(block.data() + at, &header, sizeof header);
  return block;
}

// ---- Strides ----

class StrideBuilder {
 public:
  explicit StrideBuilder(const Ranges& ranges) : ranges_(ranges) {}

  Block build() {
    std::vector<std::uint32_t> root(65536);
    for (std::uint32_t i = 0; i < root.size(); i++)
      root[i] = entry(within(ranges_, {0, ranges_.size()}, i << 16, 16), i << 16, 16);
    Block block(sizeof(design_header));
    const std::uint32_t first = append(block, root);
    set_header(block, {{first, append(block, chunks_), 0, 0}});
    return block;
  }

 private:
  std::uint32_t entry(Span here, std::uint32_t first, unsigned bits) {
    if (here.size() == 1) return ranges_[here.begin].cls;
    std::vector<std::uint32_t> chunk(256);
    for (std::uint32_t i = 0; i < 256; i++) {
      const std::uint32_t at = first + (i << (bits - 8));
      chunk[i] = entry(within(ranges_, here, at, bits - 8), at, bits - 8);
    }
    const auto [known, is_new] =
        known_.try_emplace(chunk, static_cast<std::uint32_t>(chunks_.size() / 256));
    if (is_new) chunks_.insert(chunks_.end(), chunk.begin(), chunk.end());
    return DESIGN_NODE | known->second;
  }

  const Ranges& ranges_;
  std::vector<std::uint32_t> chunks_;
  std::map<std::vector<std::uint32_t>, std::uint32_t> known_;
};

// ---- Ranges under a direct root ----

Block build_dxr(const Ranges& ranges) {
  std::vector<std::uint32_t> root(1u << DXR_BITS), places;
  constexpr unsigned bits = 32 - DXR_BITS;
  for (std::uint32_t i = 0; i < root.size(); i++) {
    const Span here = within(ranges, {0, ranges.size()}, i << bits, bits);
    if (here.size() == 1) {
      root[i] = ranges[here.begin].cls;
      continue;
    }
    const auto steps = static_cast<std::uint32_t>(std::bit_width(here.size() - 1));
    root[i] = DESIGN_NODE | steps << DXR_STEPS_SHIFT | static_cast<std::uint32_t>(places.size());
    for (std::size_t n = 0; n < std::size_t{1} << steps; n++) {
      const bool is_range = here.begin + n < here.end;
      const std::uint32_t first = n == 0     ? 0
                                  : is_range ? ranges[here.begin + n].first & ((1u << bits) - 1)
                                             : 0xffff;
      places.push_back(first | (is_range ? std::uint32_t{ranges[here.begin + n].cls} << 16 : 0));
    }
  }
  Block block(sizeof(design_header));
  const std::uint32_t first = append(block, root);
  set_header(block, {{first, append(block, places), 0, 0}});
  return block;
}

// ---- Compressed bitmaps ----

class PoptrieBuilder {
 public:
  explicit PoptrieBuilder(const Ranges& ranges) : ranges_(ranges) {}

  Block build() {
    std::vector<std::uint32_t> root(1u << POPTRIE_BITS);
    constexpr unsigned bits = 32 - POPTRIE_BITS;
    for (std::uint32_t i = 0; i < root.size(); i++) {
      const Span here = within(ranges_, {0, ranges_.size()}, i << bits, bits);
      if (here.size() == 1) {
        root[i] = ranges_[here.begin].cls;
        continue;
      }
      root[i] = DESIGN_NODE | static_cast<std::uint32_t>(nodes_.size());
      nodes_.emplace_back();
      fill(nodes_.size() - 1, here, i << bits, bits);
    }
    Block block(sizeof(design_header));
    design_header header = {};
    header.part[0] = append(block, root);
    header.part[1] = append(block, nodes_);
    header.part[2] = append(block, leaves_);
    set_header(block, header);
    return block;
  }

 private:
  void fill(std::size_t at, Span here, std::uint32_t first, unsigned bits) {
    poptrie_node node = {};
    std::array<Span, 64> slots;
    std::uint32_t last_leaf = ~0u;
    node.first_leaf = static_cast<std::uint32_t>(leaves_.size());
    for (std::uint32_t i = 0; i < 64; i++) {
      slots[i] = within(ranges_, here, first + (i << (bits - 6)), bits - 6);
      if (slots[i].size() > 1) {
        node.children |= std::uint64_t{1} << i;
        continue;
      }
      const std::uint32_t leaf = ranges_[slots[i].begin].cls;
      if (leaf != last_leaf) {
        node.runs |= std::uint64_t{1} << i;
        leaves_.push_back(static_cast<std::uint16_t>(leaf));
      }
      last_leaf = leaf;
    }
    node.first_child = static_cast<std::uint32_t>(nodes_.size());
    nodes_[at] = node;
    nodes_.resize(nodes_.size() + static_cast<std::size_t>(std::popcount(node.children)));
    std::size_t child = node.first_child;
    for (std::uint32_t i = 0; i < 64; i++)
      if (slots[i].size() > 1) fill(child++, slots[i], first + (i << (bits - 6)), bits - 6);
  }

  const Ranges& ranges_;
  std::vector<poptrie_node> nodes_;
  std::vector<std::uint16_t> leaves_;
};

// ---- One sorted list ----

Block build_sorted(const Ranges& ranges) {
  if (ranges.size() > 1u << SORTED_MAX_STEPS) return {};
  const auto steps = static_cast<std::uint32_t>(std::bit_width(ranges.size() - 1));
  std::vector<std::uint32_t> firsts(std::size_t{1} << steps, ~0u);
  // Padding begins at the last address; what it says must be what the last range says.
  std::vector<std::uint16_t> classes(std::size_t{1} << steps, ranges.back().cls);
  for (std::size_t i = 0; i < ranges.size(); i++) {
    firsts[i] = ranges[i].first;
    classes[i] = ranges[i].cls;
  }
  Block block(sizeof(design_header));
  const std::uint32_t first = append(block, firsts);
  set_header(block, {{first, append(block, classes), steps, 0}});
  return block;
}

// ---- Packed trees ----

// Where a range begins, within the 15 bits of its tree, and what it is.
struct Piece {
  std::uint32_t first;
  std::uint16_t value;
};

class Trees {
 public:
  // Returns the reference. The first piece begins at 0.
  std::uint32_t add(std::span<const Piece> pieces) {
    std::uint32_t depth = 0;
    std::size_t width = 4;  // pieces under the root
    for (; width < pieces.size(); depth++) width *= 5;
    const auto place = static_cast<std::uint32_t>(words_.size() / 2);
    for (std::size_t step = width / 5, nodes = 1; step >= 4; step /= 5, nodes *= 5)
      for (std::size_t n = 0; n < nodes; n++)
        words_.push_back(keys(pieces, (n * 5 + 1) * step, step));
    if (words_.size() % 2 != 0) words_.push_back(0);
    for (std::size_t n = 0; n < pieces.size(); n += 4) {
      words_.push_back(keys(pieces, n, 1));
      words_.push_back(values(pieces, n));
    }
    return DESIGN_NODE | depth << MOAT_DEPTH_SHIFT | place;
  }

  // Of the pieces from `from` on, `step` apart.
  static std::uint64_t keys(std::span<const Piece> pieces, std::size_t from, std::size_t step) {
    std::uint64_t word = 0;
    for (unsigned i = 0; i < 4; i++) {
      const std::size_t n = from + i * step;
      word |= std::uint64_t{n < pieces.size() ? pieces[n].first : MOAT_NO_KEY} << i * 16;
    }
    return word;
  }
  static std::uint64_t values(std::span<const Piece> pieces, std::size_t from) {
    std::uint64_t word = 0;
    for (unsigned i = 0; i < 4 && from + i < pieces.size(); i++)
      word |= std::uint64_t{pieces[from + i].value} << i * 16;
    return word;
  }

  [[nodiscard]] const std::vector<std::uint64_t>& words() const { return words_; }

 private:
  std::vector<std::uint64_t> words_;
};

std::vector<Piece> pieces_of(const Ranges& ranges, Span here, std::uint32_t mask) {
  std::vector<Piece> pieces;
  for (std::size_t n = here.begin; n < here.end; n++)
    pieces.push_back({n == here.begin ? 0 : ranges[n].first & mask, ranges[n].cls});
  return pieces;
}

class EvenBuilder {
 public:
  explicit EvenBuilder(const Ranges& ranges) : ranges_(ranges) {}

  Block build() {
    std::vector<std::uint32_t> top(512);
    for (std::uint32_t t = 0; t < top.size(); t++) {
      const Span here = within(ranges_, {0, ranges_.size()}, t << 23, 23);
      top[t] = here.size() == 1 ? ranges_[here.begin].cls : add_block(here, t << 23);
    }
    Block block(sizeof(design_header));
    design_header header = {};
    header.part[0] = append(block, top);
    header.part[1] = append(block, blocks_);
    header.part[2] = append(block, trees_.words());
    set_header(block, header);
    return block;
  }

 private:
  std::uint32_t add_block(Span here, std::uint32_t first) {
    const auto number = static_cast<std::uint32_t>(blocks_.size() / 256);
    for (std::uint32_t i = 0; i < 256; i++) {
      const Span below = within(ranges_, here, first + (i << 15), 15);
      const auto pieces = pieces_of(ranges_, below, 0x7fff);
      if (below.size() > 1) {
        blocks_.push_back(trees_.add(pieces));
        continue;
      }
      const auto [known, is_new] = uniform_.try_emplace(pieces.front().value, 0);
      if (is_new) known->second = trees_.add(pieces);
      blocks_.push_back(known->second);
    }
    return DESIGN_NODE | number;
  }

  const Ranges& ranges_;
  std::vector<std::uint32_t> blocks_;
  Trees trees_;
  std::map<std::uint16_t, std::uint32_t> uniform_;
};

class LeavesBuilder {
 public:
  explicit LeavesBuilder(const Ranges& ranges) : ranges_(ranges) {}

  Block build() {
    std::vector<std::uint16_t> top(1u << LEAVES_TOP);
    for (std::uint32_t t = 0; t < top.size(); t++) {
      constexpr unsigned bits = 32 - LEAVES_TOP;
      const Span here = within(ranges_, {0, ranges_.size()}, t << bits, bits);
      const auto number = static_cast<std::uint16_t>(leaves_.size() / 2 / kLeaves);
      if (here.size() == 1) {
        const auto [known, is_new] = uniform_.try_emplace(ranges_[here.begin].cls, number);
        top[t] = known->second;
        if (!is_new) continue;
      }
      top[t] = number;
      for (std::uint32_t leaf = 0; leaf < kLeaves; leaf++)
        add_leaf(pieces_of(
            ranges_,
            within(ranges_, here, (t << bits) + (leaf << LEAVES_KEY_BITS), LEAVES_KEY_BITS),
            (1u << LEAVES_KEY_BITS) - 1));
    }
    Block block(sizeof(design_header));
    design_header header = {};
    header.part[0] = append(block, top);
    header.part[1] = append(block, leaves_);
    header.part[2] = append(block, trees_.words());
    set_header(block, header);
    return block;
  }

 private:
  static constexpr std::uint32_t kLeaves = 1u << (32 - LEAVES_TOP - LEAVES_KEY_BITS);

  void add_leaf(const std::vector<Piece>& pieces) {
    if (pieces.size() > 4) {
      leaves_.push_back(1);  // a key that none has in front
      leaves_.push_back(trees_.add(pieces));
      return;
    }
    leaves_.push_back(Trees::keys(pieces, 0, 1));
    leaves_.push_back(Trees::values(pieces, 0));
  }

  const Ranges& ranges_;
  Trees trees_;
  std::vector<std::uint64_t> leaves_;
  std::map<std::uint16_t, std::uint16_t> uniform_;
};

// ---- Cache lines under a direct root ----

class WideBuilder {
 public:
  explicit WideBuilder(const Ranges& ranges) : ranges_(ranges) {}

  Block build() {
    std::vector<std::uint32_t> root(std::size_t{1} << 17);
    for (std::uint32_t i = 0; i < root.size(); i++) {
      const Span here = within(ranges_, {0, ranges_.size()}, i << 15, 15);
      if (here.size() > 1) {
        root[i] = add_chunk(here);
        continue;
      }
      const auto [known, is_new] = uniform_.try_emplace(ranges_[here.begin].cls, 0);
      if (is_new) known->second = add_chunk(here);
      root[i] = known->second;
    }
    Block block(sizeof(design_header));
    const std::uint32_t first = append(block, root);
    set_header(block, {{first, append(block, chunks_), 0, 0}});
    return block;
  }

 private:
  using Line = std::array<std::uint16_t, 16>;

  [[nodiscard]] std::uint16_t key(Span here, std::size_t n) const {
    if (n == 0) return 0;
    if (here.begin + n >= here.end) return WIDE_NO_KEY;
    return static_cast<std::uint16_t>(ranges_[here.begin + n].first & 0x7fff);
  }

  std::uint32_t add_chunk(Span here) {
    std::uint32_t depth = 0;
    std::size_t width = 16;  // ranges under the root
    for (; width < here.size(); depth++) width *= 16;
    if (chunks_.size() % 2 != 0) chunks_.emplace_back();
    if (depth != 0) chunks_.emplace_back();  // so that the leaves begin on a cache line
    const auto place = static_cast<std::uint32_t>(chunks_.size());
    for (std::size_t step = width / 16, nodes = 1; step >= 16; step /= 16, nodes *= 16)
      for (std::size_t n = 0; n < nodes; n++) add_keys(here, n * step * 16, step);
    for (std::size_t n = 0; n < here.size(); n += 16) {
      add_keys(here, n, 1);
      Line& classes = chunks_.emplace_back();
      for (std::size_t i = 0; i < 16 && here.begin + n + i < here.end; i++)
        classes[i] = ranges_[here.begin + n + i].cls;
    }
    return depth << 28 | place;
  }

  void add_keys(Span here, std::size_t from, std::size_t step) {
    Line& line = chunks_.emplace_back();
    for (std::size_t i = 0; i < 16; i++) line[i] = key(here, from + i * step);
  }

  const Ranges& ranges_;
  std::vector<Line> chunks_;
  std::map<std::uint16_t, std::uint32_t> uniform_;
};

}  // namespace

const std::vector<Design>& designs() {
  static const std::vector<Design> all = {
      {"moat", build_moat, moat_class},
      {"even", [](const Ranges& ranges) { return EvenBuilder(ranges).build(); }, even_class},
      {"lines", build_lines, lines_class},
      {"leaves", [](const Ranges& ranges) { return LeavesBuilder(ranges).build(); }, leaves_class},
      {"wide", [](const Ranges& ranges) { return WideBuilder(ranges).build(); }, wide_class},
      {"strides", [](const Ranges& ranges) { return StrideBuilder(ranges).build(); },
       strides_class},
      {"dxr", build_dxr, dxr_class},
      {"poptrie", [](const Ranges& ranges) { return PoptrieBuilder(ranges).build(); },
       poptrie_class},
      {"sorted", build_sorted, sorted_class},
  };
  return all;
}

}  // namespace moat::bench
