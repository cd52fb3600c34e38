// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/table/table.h"

#include <gtest/gtest.h>

#include <array>

#include "bpf/verdict.h"

namespace moat {
namespace {

// A SYN from 10.1.2.3.
std::array<std::uint8_t, 54> syn(std::uint32_t destination, std::uint16_t port) {
  std::array<std::uint8_t, 54> frame{};
  frame[12] = 8;
  const std::array<std::uint8_t, 16> ipv4 = {0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0, 10, 1, 2, 3};
  std::ranges::copy(ipv4, frame.begin() + 14);
  for (int i = 0; i < 4; i++)
    frame[30 + i] = static_cast<std::uint8_t>(destination >> (24 - i * 8));
  frame[36] = static_cast<std::uint8_t>(port >> 8);
  frame[37] = static_cast<std::uint8_t>(port);
  frame[46] = 0x50;
  frame[47] = 2;
  return frame;
}

constexpr std::uint32_t first_address = 0xc0000201;  // 192.0.2.1

// As many endpoints as there may be, no two ports on one page, open to 10.0.0.0/8.
Table max_endpoints() {
  TableInput input;
  input.generation = 7;
  std::uint16_t port = 0;
  for (std::uint32_t i = 0; i < MOAT_MAX_DATABASES; i++) {
    TableInput::Database database{.owner = static_cast<std::uint8_t>(i + 1),
                                  .address = Address(first_address + i),
                                  .ports = {}};
    for (int n = 0; n < MOAT_MAX_PORTS; n++) database.ports.push_back(port = port + 63);
    input.databases.push_back(std::move(database));
  }
  input.classes.assign(MOAT_MAX_DATABASES * 2, 0);
  std::fill(input.classes.begin() + MOAT_MAX_DATABASES, input.classes.end(), 7);
  input.ranges = {{0, 0}, {10u << 24, 1}, {11u << 24, 0}};
  return build_table(input).value();
}

TEST(CloseToAllTest, the_same_endpoints_allow_nobody) {
  const Table open = max_endpoints();
  const auto closed = close_to_all(open);
  ASSERT_TRUE(closed) << closed.error().message;
  EXPECT_TRUE(check_table(closed->bytes()));
  EXPECT_LE(closed->bytes().size(), MOAT_CLOSED_BYTES);
  EXPECT_EQ(closed->header().generation, 7u);

  const auto guarded = syn(first_address + 63, 63 * 16 * 64);
  EXPECT_EQ(judge(open, guarded, 1).reason, MOAT_ALLOWED);
  const auto verdict = judge(*closed, guarded, 1);
  EXPECT_EQ(verdict.reason, MOAT_NO_RULE);
  EXPECT_EQ(verdict.owner, 64);
  EXPECT_TRUE(verdict.drop);
  EXPECT_EQ(judge(*closed, syn(first_address + 62, 63 * 16 * 64), 1).reason, MOAT_NOT_GUARDED);
}

TEST(CloseToAllTest, monitor_mode_stays) {
  TableInput input;
  input.databases.push_back({.owner = 1, .monitor = true, .address = {}, .ports = {5432}});
  input.classes = {0, 7};
  input.ranges = {{0, 0}, {10u << 24, 1}, {11u << 24, 0}};
  const auto verdict =
      judge(close_to_all(build_table(input).value()).value(), syn(first_address, 5432), 1);
  EXPECT_EQ(verdict.reason, MOAT_NO_RULE);
  EXPECT_FALSE(verdict.drop);
}

}  // namespace
}  // namespace moat
