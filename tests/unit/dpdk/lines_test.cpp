// SPDX-License-Identifier: BSD-2-Clause
// The index of a table says of every source what the table itself says.
#include "dataplane/dpdk/lines.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <set>

#include "dataplane/table/table.h"

namespace moat {
namespace {

using Range = TableInput::Range;

Table table_of(std::vector<Range> ranges) {
  TableInput input;
  input.databases.push_back({.owner = 1, .address = {}, .ports = {5432}});
  std::uint16_t classes = 1;
  for (const Range& range : ranges)
    classes = std::max<std::uint16_t>(classes, static_cast<std::uint16_t>(range.cls + 1));
  for (std::uint16_t cls = 0; cls < classes; cls++) input.classes.push_back(cls == 0 ? 0 : 7);
  input.ranges = std::move(ranges);
  return build_table(input).value();
}

// Beginnings and ends of ranges, what is beside them, and the same a /24 and a /16 away.
std::vector<std::uint32_t> places_of(const std::vector<Range>& ranges) {
  std::set<std::uint32_t> places = {0, 0xffffffff};
  for (const Range& range : ranges)
    for (const std::uint32_t off : {0u, 1u, 0xffu, 0x100u, 0xffffu, 0x10000u})
      places.insert({range.first + off, range.first - off});
  return {places.begin(), places.end()};
}

bool says_the_same(const std::vector<Range>& ranges) {
  const Table table = table_of(ranges);
  const Lines lines = Lines::build(table.header()).value();
  const auto places = places_of(ranges);
  for (std::size_t at = 0; at < places.size(); at += Lines::max_burst) {
    std::uint32_t classes[Lines::max_burst];
    const auto count = std::min<std::size_t>(Lines::max_burst, places.size() - at);
    lines.look_up(table.header(), std::span(places).subspan(at, count), classes);
    for (std::size_t i = 0; i < count; i++)
      if (classes[i] != source_class(table, Address(places[at + i]))) return false;
  }
  return true;
}

// Ascending, the first at 0, neighbours of different classes.
std::vector<Range> ranges_from(const std::set<std::uint32_t>& firsts, std::uint32_t classes) {
  std::vector<Range> ranges = {{0, 0}};
  for (const std::uint32_t first : firsts) {
    if (first == 0) continue;
    const auto cls = static_cast<std::uint16_t>(first * 2654435761u % classes);
    if (cls != ranges.back().cls) ranges.push_back({first, cls});
  }
  return ranges;
}

TEST(LinesTest, AnEmptyTableHasNobody) { EXPECT_TRUE(says_the_same({{0, 0}})); }

TEST(LinesTest, OneRangeInTheMiddleOfALine) {
  EXPECT_TRUE(says_the_same({{0, 0}, {10u << 24, 1}, {11u << 24, 0}}));
}

// More than the values that a line holds, more than four ranges in a /24, and both to the end.
TEST(LinesTest, MoreRunsThanALineHoldsAndDividedToTheEnd) {
  std::set<std::uint32_t> firsts;
  for (std::uint32_t n = 0; n < 200; n++) firsts.insert((192u << 24) + n * 0x100);
  for (std::uint32_t n = 0; n < 200; n++) firsts.insert((193u << 24) + n);
  for (std::uint32_t n = 0; n < 9; n++) firsts.insert(0xffffffff - n * 3);
  EXPECT_TRUE(says_the_same(ranges_from(firsts, 50)));
}

// A tree whose last leaf is full is followed by another tree at once.
TEST(LinesTest, FullLeavesEndWhereTheNextTreeBegins) {
  for (const std::uint32_t pieces : {3u, 4u, 5u, 19u, 20u, 21u, 99u, 100u, 101u, 499u, 500u}) {
    std::set<std::uint32_t> firsts;
    for (std::uint32_t top = 16; top < 20; top++)
      for (std::uint32_t n = 1; n < pieces; n++) firsts.insert((top << 23) + n * 0x300);
    EXPECT_TRUE(says_the_same(ranges_from(firsts, 3))) << pieces;
  }
}

TEST(LinesTest, EveryTableSaysTheSame) {
  EXPECT_TRUE(rc::check([] {
    // Crowded here and there, as lists are.
    const auto crowds =
        *rc::gen::container<std::vector<std::uint32_t>>(rc::gen::arbitrary<std::uint32_t>());
    const auto spread = *rc::gen::element(4u, 9u, 17u, 25u);
    std::set<std::uint32_t> firsts;
    for (const std::uint32_t crowd : crowds)
      for (std::uint32_t n = 0; n < 40; n++)
        firsts.insert(crowd + (n * 2654435761u >> (32 - spread)));
    RC_ASSERT(says_the_same(ranges_from(firsts, *rc::gen::inRange(2u, 300u))));
  }));
}

TEST(LinesTest, WithoutMemoryThereIsAnError) {
  const auto none = [](std::size_t) { return std::shared_ptr<std::byte>(); };
  const Table table = table_of({{0, 0}});
  EXPECT_FALSE(Lines::build(table.header(), none));
}

}  // namespace
}  // namespace moat
