// SPDX-License-Identifier: BSD-2-Clause
// The example that bpf/abi.h walks through, number by number.
#include "bpf/abi.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "bpf/lookup.h"
#include "control/enforce/compile.h"

namespace moat {
namespace {

constexpr std::uint32_t source = 198u << 24 | 51u << 16 | 100u << 8 | 25u;

Table compiled() {
  Policy policy;
  Database& orders = policy.databases.emplace_back();
  orders.id = "orders";
  orders.endpoint.ports = {5432};
  orders.rules.resize(2);
  orders.rules[0].cidr = parse_prefix("198.51.100.25/32").value();
  orders.rules[1].cidr = parse_prefix("203.0.113.0/24").value();
  derive_rule_ids(orders);
  const SlotMap slots = {
      .owner = [](std::string_view) -> std::uint8_t { return 1; },
      .rule = [first = orders.rules[0].id](std::string_view, std::string_view rule)
          -> std::uint16_t { return rule == first ? 1 : 2; },
  };
  return compile(policy, slots, ClockPair{}, 1).value();
}

std::uint64_t word_at(const Table& table, std::uint32_t offset) {
  return moat_load_u64(table.bytes().data() + offset);
}

TEST(AbiExample, RangesAndClassesOfThePolicy) {
  TableInput input;
  input.generation = 1;
  input.prefixes = 2;
  input.databases = {{.owner = 1, .ports = {5432}}};
  input.ranges = {{0, 0}, {source, 1}, {source + 1, 0}, {0xcb007100, 2}, {0xcb007200, 0}};
  input.classes = {0, 1, 2};
  const Table by_hand = build_table(input).value();
  EXPECT_TRUE(std::ranges::equal(by_hand.bytes(), compiled().bytes()));
}

TEST(AbiExample, PlacesInTheImage) {
  const Table table = compiled();
  const moat_table& header = table.header();
  EXPECT_EQ(header.pages_offset, 4976u);
  EXPECT_EQ(header.endpoints_offset, 6000u);
  EXPECT_EQ(header.classes_offset, 6016u);
  EXPECT_EQ(header.timed_offset, 6032u);
  EXPECT_EQ(header.tops_offset, 6032u);
  EXPECT_EQ(header.trees_offset, 10128u);
  EXPECT_EQ(header.leaves_offset, 10160u);
  EXPECT_EQ(header.size, 10176u);
}

TEST(AbiExample, Destinations) {
  const Table table = compiled();
  const moat_table& header = table.header();
  for (unsigned page = 0; page < 256; page++) EXPECT_EQ(header.page[page], page == 21 ? 1 : 0);
  for (std::uint32_t entry = 0; entry < 512; entry++)
    EXPECT_EQ(moat_table_u16(&header, 4976 + entry * 2), entry == 256 + 56 ? 1 : 0);
  EXPECT_EQ(header.flags, MOAT_ANY_ADDRESS | MOAT_SOME_PORT);
  EXPECT_EQ(header.endpoint_stride, 2u);
  EXPECT_EQ(header.ipv6_row, 1u);
  EXPECT_EQ(moat_table_u32(&header, 6000), 0x01000100u);  // bytes 0 1, 0 1
}

TEST(AbiExample, Sources) {
  const Table table = compiled();
  const moat_table& header = table.header();
  EXPECT_EQ(header.databases, 1u);
  EXPECT_EQ(header.classes, 3u);
  EXPECT_EQ(header.timed, 0u);
  EXPECT_EQ(header.top_bits, 9u);
  EXPECT_EQ(word_at(table, 6016), 0x0000'0002'0001'0000u);
  for (std::uint32_t top = 0; top < 512; top++) {
    const std::uint64_t entry = top == 396   ? 0x00000000'80000000
                                : top == 406 ? 0x00000001'80000001
                                             : 0;
    EXPECT_EQ(word_at(table, 6032 + top * 8), entry) << top;
  }
  EXPECT_EQ(word_at(table, 10128), 0x8000'3365'3364'0000u);
  EXPECT_EQ(word_at(table, 10136), 0x0000'0000'8000'0000u);
  EXPECT_EQ(word_at(table, 10144), 0x8000'0072'0071'0000u);
  EXPECT_EQ(word_at(table, 10152), 0x0000'0000'0002'0000u);
  EXPECT_EQ(word_at(table, 10160), 0x8000'001a'0019'0000u);
  EXPECT_EQ(word_at(table, 10168), 0x0000'0000'0001'0000u);
}

TEST(AbiExample, Lookup) {
  const Table table = compiled();
  EXPECT_EQ(source >> 23, 396u);
  EXPECT_EQ((source & 0x7fffff) >> 8, 0x3364u);
  EXPECT_EQ(moat_rank(word_at(table, 10128), 0x3364), 2u);
  EXPECT_EQ(moat_lane(word_at(table, 10136), 2), MOAT_DIVIDED | 0);
  EXPECT_EQ(source & 0xff, 0x19u);
  EXPECT_EQ(moat_rank(word_at(table, 10160), 0x19), 2u);
  EXPECT_EQ(moat_lane(word_at(table, 10168), 2), 1u);
  EXPECT_EQ(source_class(table, Address(source)), 1u);
  EXPECT_EQ(entry_slot(table, 1, 1, 1), 1u);
}

}  // namespace
}  // namespace moat
