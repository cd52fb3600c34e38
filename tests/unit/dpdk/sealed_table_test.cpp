// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/dpdk/sealed_table.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <functional>

#include "tests/unit/dpdk/tables.h"

namespace moat {
namespace {

constexpr int all_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;

Fd memfd_of(std::span<const std::byte> bytes, int seals = all_seals) {
  Fd memfd(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(::write(memfd.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  EXPECT_EQ(::fcntl(memfd.get(), F_ADD_SEALS, seals), 0);
  return memfd;
}

std::string refusal(const Fd& memfd) {
  const auto opened = open_sealed_table(memfd);
  return opened ? "opened" : opened.error().message;
}

// A sound table but for what `change` does to its header; its digest is right.
Fd changed(const std::function<void(moat_table&)>& change) {
  const Table table = table_for({{10u << 24, 1}});
  std::vector<std::byte> bytes(table.bytes().begin(), table.bytes().end());
  auto& header = *reinterpret_cast<moat_table*>(bytes.data());
  change(header);
  header.digest = table_digest(bytes);
  return memfd_of(bytes);
}

TEST(SealedTableTest, WhatWasSealedIsWhatIsRead) {
  const Table table = table_for({{10u << 24, 1}}, 7);
  const Fd memfd = seal_table(table).value();
  const auto opened = open_sealed_table(memfd);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->header().digest, table.header().digest);
  EXPECT_EQ(opened->header().generation, 7u);
  EXPECT_LT(::pwrite(memfd.get(), "x", 1, 0), 0);
  EXPECT_NE(::ftruncate(memfd.get(), 0), 0);
}

TEST(SealedTableTest, EachMissingSealIsRefused) {
  const Table table = table_for({});
  for (const int seal : {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_SEAL})
    EXPECT_TRUE(refusal(memfd_of(table.bytes(), all_seals & ~seal)).contains("seals")) << seal;
}

TEST(SealedTableTest, AFileIsRefused) {
  EXPECT_TRUE(refusal(Fd(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC))).contains("memfd"));
}

TEST(SealedTableTest, ATruncatedOneIsRefused) {
  const Table table = table_for({{10u << 24, 1}});
  const auto bytes = table.bytes();
  EXPECT_TRUE(refusal(memfd_of(bytes.first(bytes.size() - 16))).contains("says"));
  EXPECT_TRUE(refusal(memfd_of(bytes.first(100))).contains("100 bytes"));
  EXPECT_TRUE(refusal(memfd_of({})).contains("0 bytes"));
}

TEST(SealedTableTest, OneWithBytesBehindItIsRefused) {
  const Table table = table_for({{10u << 24, 1}});
  std::vector<std::byte> bytes(table.bytes().begin(), table.bytes().end());
  bytes.resize(bytes.size() + 16);
  EXPECT_TRUE(refusal(memfd_of(bytes)).contains("says"));
}

TEST(SealedTableTest, AnotherAbiOrMagicIsRefused) {
  EXPECT_TRUE(refusal(changed([](moat_table& header) { header.abi++; })).contains("ABI"));
  EXPECT_TRUE(refusal(changed([](moat_table& header) { header.magic++; })).contains("magic"));
}

TEST(SealedTableTest, ADamagedOneIsRefused) {
  const Table table = table_for({{10u << 24, 1}});
  std::vector<std::byte> bytes(table.bytes().begin(), table.bytes().end());
  bytes[bytes.size() - 3] ^= std::byte{1};
  EXPECT_TRUE(refusal(memfd_of(bytes)).contains("digest"));
}

}  // namespace
}  // namespace moat
