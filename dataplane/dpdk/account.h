// SPDX-License-Identifier: BSD-2-Clause
// What the lcores of a worker count, and how often they may report drops, in a file that worker and
// daemon map both. Counts outlive a worker, and what was not reported yet can be read beside it.
//
//   0                      AccountHeader
//   4096 + n * block       of lcore n: moat_counter[MOAT_COUNTER_SLOTS], then
//                          moat_source_allowance[MOAT_SOURCES]; a whole number of pages
//
// An lcore adds to its own block alone, without a lock; the daemon sums. A 64-bit number is read
// whole while it is written.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bpf/abi.h"
#include "dataplane/error.h"
#include "dataplane/fast_path_settings.h"
#include "dataplane/fd.h"
#include "dataplane/suppressed_drops.h"

namespace moat {

class Account {
 public:
  static constexpr unsigned max_lcores = FastPathSettings::max_lcores;

  // The worker's: the file at `path`, made where there is none. What an earlier worker counted
  // stays; a file of another layout is begun anew.
  [[nodiscard]] static Result<Account> open(const std::string& path, unsigned lcores);
  // The daemon's: the file that the worker has sent.
  [[nodiscard]] static Result<Account> map(Fd file);

  Account() = default;
  Account(Account&& other) noexcept;
  Account& operator=(Account&& other) noexcept;
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;
  ~Account();

  [[nodiscard]] explicit operator bool() const { return base_ != nullptr; }
  [[nodiscard]] int fd() const { return file_.get(); }
  // Of this worker and of those before it that had more.
  [[nodiscard]] unsigned lcores() const { return lcores_; }

  [[nodiscard]] std::span<moat_counter> counters(unsigned lcore) const;
  [[nodiscard]] std::span<moat_source_allowance> sources(unsigned lcore) const;

  // Sums over the lcores by slot, MOAT_COUNTER_SLOTS of them.
  [[nodiscard]] std::vector<moat_counter> sum() const;
  // Zeroes counters that no live table names.
  void clear(const std::vector<std::uint32_t>& slots) const;
  void add_suppressed_drops(SuppressedDrops& to) const;
  // For a new reader, to whom what came before it is not to be reported as if it came now.
  void forget_suppressed_drops() const;

 private:
  [[nodiscard]] static Result<Account> map(Fd file, unsigned lcores);

  Fd file_;
  std::byte* base_ = nullptr;
  std::size_t bytes_ = 0;
  unsigned lcores_ = 0;
};

}  // namespace moat
