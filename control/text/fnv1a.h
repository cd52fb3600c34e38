// SPDX-License-Identifier: BSD-2-Clause
// FNV-1a of 64 bits, by Fowler, Noll and Vo: for what has to be the same in every build, and is no
// secret. See https://datatracker.ietf.org/doc/html/draft-eastlake-fnv.
#pragma once

#include <cstdint>
#include <string_view>

namespace moat {

class Fnv1a {
 public:
  void add(std::uint8_t byte) { hash_ = (hash_ ^ byte) * 0x100000001b3; }
  void add(std::string_view text) {
    for (const char c : text) add(static_cast<std::uint8_t>(c));
  }
  [[nodiscard]] std::uint64_t value() const { return hash_; }

 private:
  std::uint64_t hash_ = 0xcbf29ce484222325;
};

}  // namespace moat
