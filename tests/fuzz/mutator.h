// SPDX-License-Identifier: BSD-2-Clause
// Makes new frames out of known ones: blind changes of bytes, and changes that know the layout of a
// header, so that lengths, fragments, options and chains are tried where they matter.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tests/support/policies.h"

namespace moat::testing {

class Mutator {
 public:
  explicit Mutator(std::vector<std::vector<std::uint8_t>> seeds) : seeds_(std::move(seeds)) {}

  // Frames from now on are mostly to what `policy` guards, from about its sources.
  void aim(const Policy& policy, Random& random);

  // A frame of kShortest to kLongest bytes, good until the next call.
  std::span<const std::uint8_t> next(Random& random);

 private:
  void pick(Random& random);
  void mutate_blindly(Random& random);
  void mutate_link(Random& random);
  void mutate_ipv4(Random& random, std::size_t l3);
  void mutate_ipv6(Random& random, std::size_t l3);
  void address_to_policy(Random& random, std::size_t l3);
  void insert(std::size_t at, std::span<const std::uint8_t> bytes);
  void put16(std::size_t at, std::uint32_t value);
  void put32(std::size_t at, std::uint32_t value);
  [[nodiscard]] std::uint8_t byte(std::size_t at) const;

  std::vector<std::vector<std::uint8_t>> seeds_;
  std::vector<Address> sources_, destinations_;
  std::vector<std::uint16_t> ports_;
  std::vector<std::uint8_t> frame_;
};

}  // namespace moat::testing
