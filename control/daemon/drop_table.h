// SPDX-License-Identifier: BSD-2-Clause
// Recent drops, each once: a source that is refused at the same place for the same reason is one
// row, with the first and the last time and how often.
//
// There are at most `capacity` rows. When all are taken, the one that goes is the oldest of the
// most numerous kind (database, reason, monitored): a flood pushes out its own.
#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "bpf/abi.h"
#include "control/policy/policy.h"
#include "control/service/service.h"
#include "dataplane/suppressed_drops.h"

namespace moat {

class DropTable {
 public:
  using Time = std::chrono::system_clock::time_point;
  static constexpr std::size_t most = 4096;

  // Rows are numbered by their last change, from `first` on. With a `first` above all numbers of an
  // earlier table, whoever asks for what came after one of those gets every row of this table.
  explicit DropTable(std::uint64_t first = 1, std::size_t capacity = most)
      : capacity_(capacity), next_(first) {}

  // An event, and what its numbers stand for: `database` is empty where the host is the owner.
  void add(const moat_drop& event, const std::string& database, const std::string& interface,
           Time time);

  // All counters as they are now, by slot, so that it is known how many drops there were in all
  // since the first call. What is cleared in between is not lost.
  void note_counters(const std::vector<moat_counter>& counters);

  // What the kernel has not told yet of sources that have rows: theirs until it does.
  void note_suppressed(const SuppressedDrops& suppressed);

  // The rows that have changed since `since` was next, the newest first; of one database, or of all
  // if `database` is empty.
  [[nodiscard]] DropsView view(const std::string& database, std::uint64_t since) const;

  // What the source was last refused for, on its way to this database or before one was known.
  [[nodiscard]] std::optional<DropView> last_of(Address source, const std::string& database) const;

 private:
  struct Key {
    std::array<std::uint8_t, 16> source;
    std::uint8_t family;
    std::uint8_t reason;
    bool monitored;
    std::uint16_t vlan;
    std::uint16_t port;  // where no database is known
    std::string database;
    std::string interface;

    auto operator<=>(const Key&) const = default;
  };
  struct Row {
    Key key;
    std::uint16_t port = 0;  // of the last
    std::uint64_t number = 0;
    std::uint64_t packets = 0;
    std::uint64_t suppressed = 0;  // packets, beside those
    std::uint32_t slot = 0;
    Time first;
    Time last;
  };
  using Rows = std::list<Row>;  // of one kind, the newest first
  using Kind = std::tuple<std::string, std::uint8_t, bool>;

  void make_room();
  [[nodiscard]] static DropView view_of(const Row& row);

  std::size_t capacity_;
  std::uint64_t next_;
  std::map<Kind, Rows> kinds_;
  std::map<Key, Rows::iterator> index_;
  std::vector<std::uint64_t> noted_;  // packets by outcome slot
  std::uint64_t dropped_ = 0;
  std::uint64_t lost_ = 0;
};

}  // namespace moat
