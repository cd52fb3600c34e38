// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/dpdk/lines.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "bpf/lookup.h"

// Whoever has DPDK has this instruction.
#if defined(__x86_64__)
#define MOAT_COUNTS_BITS __attribute__((target("popcnt")))
#else
#define MOAT_COUNTS_BITS
#endif

namespace moat {
namespace {

constexpr std::uint32_t firsts_count = 1u << 16;
constexpr std::size_t firsts_bytes = firsts_count * sizeof(std::uint32_t);
constexpr std::uint32_t has_line = 1u << 31;
constexpr unsigned inline_values = 10;
constexpr std::uint32_t words_a_line = sizeof(SourceLine) / 2;
constexpr std::uint32_t value_word = offsetof(SourceLine, value) / 2;

void prefetch(const void* at) { __builtin_prefetch(at, 0, 3); }

// ---- Building ----

// Takes runs of /24s in ascending order, without gaps.
class LineWriter {
 public:
  // `first` and `end` are numbers of /24s; `leaves` is the leaf that divided ones are counted from.
  void add(std::uint32_t first, std::uint32_t end, std::uint32_t value, std::uint32_t leaves) {
    while (first < end) {
      if (runs_ == 0 || value != last_) add_run(first % 256, value, leaves);
      first = std::min(end, (first / 256 + 1) * 256);
      if (first % 256 == 0) end_line();
    }
  }

  // One after the other.
  [[nodiscard]] std::shared_ptr<std::byte> copy(const Allocate& allocate) const {
    auto memory = allocate(bytes());
    if (!memory) return memory;
    std::memcpy(memory.get(), firsts_.data(), firsts_bytes);
    if (!lines_.empty())
      std::memcpy(memory.get() + firsts_bytes, lines_.data(), lines_.size() * sizeof(SourceLine));
    if (!more_.empty())
      std::memcpy(memory.get() + firsts_bytes + lines_.size() * sizeof(SourceLine), more_.data(),
                  more_.size() * sizeof(std::uint16_t));
    return memory;
  }
  [[nodiscard]] std::size_t bytes() const {
    return firsts_bytes + lines_.size() * sizeof(SourceLine) + more_.size() * sizeof(std::uint16_t);
  }
  [[nodiscard]] std::uint32_t lines() const { return static_cast<std::uint32_t>(lines_.size()); }

 private:
  void add_run(std::uint32_t place, std::uint32_t value, std::uint32_t leaves) {
    last_ = value;
    if ((value & MOAT_DIVIDED) != 0) {
      const std::uint32_t leaf = leaves + (value & ~MOAT_DIVIDED);
      if (!has_leaves_) line_.leaves = leaf;
      has_leaves_ = true;
      value = MOAT_DIVIDED | (leaf - line_.leaves);  // of 256 /24s: it fits
    }
    line_.begins[place / 64] |= std::uint64_t{1} << (place % 64);
    // Of 256 runs at most 192 begin before the last word.
    for (std::uint32_t word = place / 64 + 1; word < 4; word++) line_.before[word]++;
    if (runs_ == 0) line_.more = static_cast<std::uint32_t>(more_.size());
    if (runs_ < inline_values)
      line_.value[runs_] = static_cast<std::uint16_t>(value);
    else
      more_.push_back(static_cast<std::uint16_t>(value));
    runs_++;
  }

  void end_line() {
    if (runs_ == 1 && !has_leaves_) {
      firsts_.push_back(line_.value[0]);
    } else {
      firsts_.push_back(has_line | lines());
      lines_.push_back(line_);
    }
    line_ = {};
    runs_ = 0;
    has_leaves_ = false;
  }

  std::vector<std::uint32_t> firsts_;
  std::vector<SourceLine> lines_;
  std::vector<std::uint16_t> more_;
  SourceLine line_ = {};     // the present one,
  unsigned runs_ = 0;        // its runs,
  bool has_leaves_ = false;  // and whether one of its /24s is divided
  std::uint32_t last_ = 0;
};

// The pieces of the tree that `reference` names, in order: visit(first, value). `last` is the
// highest key that can be asked for. bpf/lookup.h says how a tree is packed.
template <typename Visit>
void visit_pieces(const moat_table& table, std::uint32_t reference, std::uint32_t last,
                  Visit visit) {
  const std::uint32_t depth = (reference & ~MOAT_TREE) >> MOAT_DEPTH_SHIFT;
  const std::uint32_t tree = table.trees_offset + (reference & MOAT_TREE_MASK) * 16;
  std::uint32_t inner = 0, node = 0;  // the way to the leaf of `last`
  for (std::uint32_t level = 0; level < depth; level++) {
    if (tree + node * 8 > table.size - 8) return;
    node = node * 5 + 1 + moat_rank(moat_table_u64(&table, tree + node * 8), last);
    inner = inner * 5 + 1;
  }
  const std::uint32_t first_leaf = tree + ((inner + 1) & ~1u) * 8, leaves = node - inner + 1;
  if (first_leaf + leaves * 16 > table.size) return;
  for (std::uint32_t leaf = 0; leaf < leaves; leaf++) {
    const std::uint64_t keys = moat_table_u64(&table, first_leaf + leaf * 16);
    const std::uint64_t values = moat_table_u64(&table, first_leaf + leaf * 16 + 8);
    const unsigned pieces = leaf + 1 < leaves ? 4 : moat_rank(keys, last);
    for (unsigned lane = 1; lane <= pieces; lane++)
      visit(moat_lane(keys, lane), moat_lane(values, lane));
  }
}

void write_top(const moat_table& table, std::uint32_t top, LineWriter& to) {
  const unsigned bits = 24 - table.top_bits;  // of a /24 below the top
  const std::uint32_t begin = top << bits, end = begin + (1u << bits);
  const std::uint32_t value = moat_table_u32(&table, table.tops_offset + top * 8);
  const std::uint32_t leaves = moat_table_u32(&table, table.tops_offset + top * 8 + 4);
  if (!(value & MOAT_TREE)) {
    to.add(begin, end, value, leaves);
    return;
  }
  std::uint32_t first = begin, held = 0;
  visit_pieces(table, value, (1u << bits) - 1, [&](std::uint32_t key, std::uint32_t piece) {
    to.add(first, begin + key, held, leaves);
    first = begin + key;
    held = piece;
  });
  to.add(first, end, held, leaves);
}

// ---- Looking up ----

std::uint32_t class_in_leaf(const moat_table& table, const std::uint8_t* leaf,
                            std::uint32_t source) {
  const std::uint64_t keys = moat_load_u64(leaf), values = moat_load_u64(leaf + 8);
  if (keys & 0xffff)
    return moat_tree_value(&table, table.size, static_cast<std::uint32_t>(values), source & 0xff);
  return moat_lane(values, moat_rank(keys, source & 0xff));
}

}  // namespace

std::shared_ptr<std::byte> allocate_lines(std::size_t bytes) {
  return {static_cast<std::byte*>(std::aligned_alloc(64, (bytes + 63) & ~std::size_t{63})),
          std::free};
}

Result<Lines> Lines::build(const moat_table& table, const Allocate& allocate) {
  LineWriter writer;
  for (std::uint32_t top = 0; top < 1u << table.top_bits; top++) write_top(table, top, writer);
  Lines made;
  made.memory_ = writer.copy(allocate);
  if (!made.memory_)
    return std::unexpected(Error{"no memory for the index of a table", "give it more hugepages"});
  made.bytes_ = writer.bytes();
  made.firsts_ = reinterpret_cast<const std::uint32_t*>(made.memory_.get());
  made.lines_ = reinterpret_cast<const SourceLine*>(made.memory_.get() + firsts_bytes);
  made.line_count_ = writer.lines();
  return made;
}

Lines::Parts Lines::parts() const {
  const auto* more = reinterpret_cast<const std::uint16_t*>(lines_ + line_count_);
  const std::size_t before = firsts_bytes + line_count_ * sizeof(SourceLine);
  return {{firsts_, firsts_count}, {lines_, line_count_}, {more, (bytes_ - before) / sizeof *more}};
}

// Each loop begins the reads that the next one needs.
MOAT_COUNTS_BITS void Lines::look_up(const moat_table& table,
                                     std::span<const std::uint32_t> sources,
                                     std::uint32_t* classes) const {
  std::uint8_t asked[max_burst];      // sources whose /16 has a line, and of each of these
  std::uint32_t line_of[max_burst];   // the line,
  std::uint32_t value_at[max_burst];  // and where the value is
  std::uint8_t divided[max_burst];    // those of them whose /24 is divided,
  std::uint32_t leaf_at[max_burst];   // and where in the table its leaf is
  unsigned asks = 0, divides = 0;
  const auto count = static_cast<unsigned>(std::min<std::size_t>(sources.size(), max_burst));
  for (unsigned i = 0; i < count; i++) {
    classes[i] = firsts_[sources[i] >> 16];
    asked[asks] = static_cast<std::uint8_t>(i);
    asks += classes[i] >> 31;
  }
  for (unsigned a = 0; a < asks; a++) {
    line_of[a] = classes[asked[a]] & ~has_line;
    prefetch(lines_ + line_of[a]);
  }
  const auto* values = reinterpret_cast<const std::uint16_t*>(lines_);  // and what is behind them
  for (unsigned a = 0; a < asks; a++) {
    const SourceLine& line = lines_[line_of[a]];
    const unsigned place = sources[asked[a]] >> 8 & 255, word = place / 64;
    const std::uint64_t until = line.begins[word] << (63 - place % 64);
    const unsigned run = line.before[word] + static_cast<unsigned>(std::popcount(until)) - 1;
    // Both places are worked out and one is masked in: nothing could predict a branch.
    const std::uint32_t inside = line_of[a] * words_a_line + value_word + run;
    const std::uint32_t behind = line_count_ * words_a_line + line.more + run - inline_values;
    const std::uint32_t mask = -std::uint32_t{run >= inline_values};
    value_at[a] = inside ^ ((inside ^ behind) & mask);
    prefetch(values + value_at[a]);
  }
  for (unsigned a = 0; a < asks; a++) {
    classes[asked[a]] = values[value_at[a]];
    divided[divides] = static_cast<std::uint8_t>(a);
    divides += classes[asked[a]] >> 15;
  }
  const auto* base = reinterpret_cast<const std::uint8_t*>(&table);
  for (unsigned d = 0; d < divides; d++) {
    const std::uint32_t value = classes[asked[divided[d]]];
    const std::uint32_t leaf = lines_[line_of[divided[d]]].leaves + (value & ~MOAT_DIVIDED);
    leaf_at[d] = std::min(table.leaves_offset + leaf * 16, table.size - 16);
    prefetch(base + leaf_at[d]);
  }
  for (unsigned d = 0; d < divides; d++) {
    const unsigned i = asked[divided[d]];
    classes[i] = class_in_leaf(table, base + leaf_at[d], sources[i]);
  }
}

}  // namespace moat
