// SPDX-License-Identifier: BSD-2-Clause
// What differs between two versions of a list of CIDRs: as prefixes, and as addresses, which are
// the same however a list cuts them up. Linear in both lists where they ascend; otherwise they are
// sorted first.
#pragma once

#include <cstdint>
#include <vector>

#include "control/policy/policy.h"

namespace moat {

struct ListChange {
  std::uint64_t before = 0;  // addresses, each once
  std::uint64_t after = 0;
  std::uint64_t gained = 0;  // addresses that only the new version has
  std::uint64_t lost = 0;    // and only the old one
  Prefixes added;            // prefixes that only the new version has, ascending
  Prefixes removed;          // and only the old one
};

[[nodiscard]] ListChange compare_lists(const Prefixes& before, const Prefixes& after);

// The list, each prefix once, ascending.
[[nodiscard]] Prefixes ascending(const Prefixes& list);

// The addresses of a list.
class AddressSet {
 public:
  explicit AddressSet(const Prefixes& list);

  [[nodiscard]] bool holds_all_of(Prefix prefix) const;

  struct Span {
    std::uint64_t first = 0;
    std::uint64_t end = 0;  // not included
  };
  // Ascending; they do not touch.
  [[nodiscard]] const std::vector<Span>& spans() const { return spans_; }

 private:
  std::vector<Span> spans_;
};

}  // namespace moat
