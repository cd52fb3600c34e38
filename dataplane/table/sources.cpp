// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/table/sources.h"

#include <algorithm>
#include <bit>

#include "bpf/lookup.h"

namespace moat {
namespace {

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

}  // namespace

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

}  // namespace moat
