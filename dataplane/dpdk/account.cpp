// SPDX-License-Identifier: BSD-2-Clause
#include "dataplane/dpdk/account.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace moat {
namespace {

struct AccountHeader {
  std::uint32_t magic;
  std::uint32_t layout;
  std::uint32_t lcores;
  std::uint32_t reserved;
};
constexpr std::uint32_t account_layout = 1;

constexpr std::size_t page = 4096;
constexpr std::size_t counters_bytes = MOAT_COUNTER_SLOTS * sizeof(moat_counter);
constexpr std::size_t sources_bytes = MOAT_SOURCES * sizeof(moat_source_allowance);
constexpr std::size_t block = (counters_bytes + sources_bytes + page - 1) / page * page;

constexpr std::size_t file_bytes(unsigned lcores) { return page + lcores * block; }

bool is_sound(const AccountHeader& header, std::size_t bytes) {
  return header.magic == MOAT_MAGIC && header.layout == account_layout && header.lcores >= 1 &&
         header.lcores <= Account::max_lcores && bytes >= file_bytes(header.lcores);
}

// Of what is there; nothing sound: no lcores.
unsigned lcores_in(int file) {
  struct stat status = {};
  AccountHeader header = {};
  if (::fstat(file, &status) != 0 ||
      ::pread(file, &header, sizeof header, 0) != static_cast<ssize_t>(sizeof header))
    return 0;
  return is_sound(header, static_cast<std::size_t>(status.st_size)) ? header.lcores : 0;
}

}  // namespace

Account::Account(Account&& other) noexcept { *this = std::move(other); }

Account& Account::operator=(Account&& other) noexcept {
  std::swap(file_, other.file_);
  std::swap(base_, other.base_);
  std::swap(bytes_, other.bytes_);
  std::swap(lcores_, other.lcores_);
  return *this;
}

Account::~Account() {
  if (base_ != nullptr) ::munmap(base_, bytes_);
}

Result<Account> Account::open(const std::string& path, unsigned lcores) {
  const auto what = "open the worker's counters " + path;
  if (lcores < 1 || lcores > max_lcores)
    return std::unexpected(
        Error{fmt::format("{} lcores; 1 to {} can count", lcores, max_lcores), {}});
  Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return failed(what);
  const unsigned earlier = lcores_in(file.get());
  if (earlier == 0 && ::ftruncate(file.get(), 0) != 0) return failed(what);
  const unsigned all = std::max(earlier, lcores);
  if (::ftruncate(file.get(), static_cast<off_t>(file_bytes(all))) != 0) return failed(what);
  const AccountHeader header = {MOAT_MAGIC, account_layout, all, 0};
  if (::pwrite(file.get(), &header, sizeof header, 0) != static_cast<ssize_t>(sizeof header))
    return failed(what);
  return map(std::move(file), all);
}

Result<Account> Account::map(Fd file) {
  const unsigned lcores = lcores_in(file.get());
  if (lcores == 0)
    return std::unexpected(Error{"the worker's counters are not laid out as this moatd knows them",
                                 "install moatd and moat-dpdk of one version"});
  return map(std::move(file), lcores);
}

Result<Account> Account::map(Fd file, unsigned lcores) {
  Account account;
  account.bytes_ = file_bytes(lcores);
  void* base = ::mmap(nullptr, account.bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (base == MAP_FAILED) return failed("map the worker's counters");
  account.base_ = static_cast<std::byte*>(base);
  account.lcores_ = lcores;
  account.file_ = std::move(file);
  return account;
}

std::span<moat_counter> Account::counters(unsigned lcore) const {
  return {reinterpret_cast<moat_counter*>(base_ + page + lcore * block), MOAT_COUNTER_SLOTS};
}

std::span<moat_source_allowance> Account::sources(unsigned lcore) const {
  std::byte* at = base_ + page + lcore * block + counters_bytes;
  return {reinterpret_cast<moat_source_allowance*>(at), MOAT_SOURCES};
}

std::vector<moat_counter> Account::sum() const {
  std::vector<moat_counter> totals(MOAT_COUNTER_SLOTS);
  for (unsigned lcore = 0; lcore < lcores_; lcore++) {
    const auto own = counters(lcore);
    for (std::size_t slot = 0; slot < totals.size(); slot++) {
      totals[slot].packets += own[slot].packets;
      totals[slot].bytes += own[slot].bytes;
    }
  }
  return totals;
}

void Account::clear(const std::vector<std::uint32_t>& slots) const {
  for (unsigned lcore = 0; lcore < lcores_; lcore++)
    for (const std::uint32_t slot : slots) counters(lcore)[slot] = {};
}

void Account::add_suppressed_drops(SuppressedDrops& to) const {
  for (unsigned lcore = 0; lcore < lcores_; lcore++) {
    const auto places = sources(lcore);
    for (std::uint32_t place = 0; place < places.size(); place++) to.add(place, places[place]);
  }
}

void Account::forget_suppressed_drops() const {
  for (unsigned lcore = 0; lcore < lcores_; lcore++)
    for (auto& place : sources(lcore)) place.suppressed = 0;
}

}  // namespace moat
